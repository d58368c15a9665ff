package auth

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Limits, since sorting and signing cost more than reading.
const (
	maxSigned = 64 << 10 // bytes of the query, and of the form body
	maxParams = 1000
)

// signed is all parameters of a request that OAuth 1.0a may sign, with reused buffers.
type signed struct {
	params []param // decoded; of header, query and form
	text   []byte  // encoded names and values, in the order of params
	spans  []span  // of text, sorted
	base   []byte  // the last part of the base string: "&" and the encoded parameter string
	prefix []byte  // the parts before
	sum    []byte
}

type param struct{ name, value string }

// span is text[name:value] for the name and text[value:end] for the value.
type span struct{ name, value, end int }

func (s *signed) reset() {
	clear(s.params) // they point into the request
	if cap(s.text) > maxSigned {
		*s = signed{params: s.params, spans: s.spans, sum: s.sum}
	}
	s.params, s.text, s.spans, s.base = s.params[:0], s.text[:0], s.spans[:0], s.base[:0]
}

// get returns the parameter, "" if it is missing. normalize refuses a second one of the protocol that differs.
func (s *signed) get(name string) string {
	for i := range s.params {
		if s.params[i].name == name {
			return s.params[i].value
		}
	}
	return ""
}

// read collects the parameters, which may stand in the header (text is what follows its scheme), the query or a form
// body (RFC 5849, 3.5).
func (s *signed) read(r *http.Request, text string) error {
	if text != "" {
		if err := s.parseHeader(text); err != nil {
			return coded{codeBadData, err}
		}
	}
	if err := s.addForm("query", r.URL.RawQuery); err != nil {
		return err
	}
	form, err := readForm(r)
	if err == nil {
		err = s.addForm("form body", form)
	}
	return err
}

// parseHeader is strict (RFC 5849, 3.5.1). text follows the scheme; all but realm become params.
func (s *signed) parseHeader(text string) error {
	for number := 1; ; number++ {
		text = strings.TrimLeft(text, " \t")
		name, rest, ok := strings.Cut(text, "=")
		if !ok || !isToken(name) {
			return refuse("parameter %d of the OAuth header is not of the form name=\"value\"", number)
		}
		if rest == "" || rest[0] != '"' {
			return refuse("%s has no quotes around its value", described(name, number))
		}
		value, rest, ok := strings.Cut(rest[1:], `"`)
		if !ok {
			return refuse("%s has no closing quote", described(name, number))
		}
		if !strings.EqualFold(name, "realm") { // a quoted string, neither encoded nor signed
			if !visible(value) {
				return refuse("%s has a character that must be percent-encoded", described(name, number))
			}
			plainName, err1 := decoded(name)
			value, err2 := decoded(value)
			if err1 != nil || err2 != nil {
				return refuse("%s has a percent sign without two hex digits", described(name, number))
			}
			if err := s.addParam(plainName, value); err != nil {
				return err
			}
		}
		text = strings.TrimLeft(rest, " \t")
		if text == "" {
			return nil
		}
		if text[0] != ',' {
			return refuse("there is no comma after %s", described(name, number))
		}
		text = text[1:]
	}
}

// decoded undoes percent-encoding, which most names and values have none of.
func decoded(text string) (string, error) {
	if strings.IndexByte(text, '%') < 0 {
		return text, nil
	}
	return url.PathUnescape(text)
}

func isToken(text string) bool {
	return text != "" && visible(text) && strings.IndexByte(text, '"') < 0 && strings.IndexByte(text, ',') < 0
}

// visible reports whether text is printable ASCII without spaces.
func visible(text string) bool {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// described names a parameter of the header, unless it may be a misplaced secret.
func described(name string, number int) string {
	if strings.HasPrefix(name, "oauth_") {
		return fmt.Sprintf("%.24q in the OAuth header", name)
	}
	return fmt.Sprintf("parameter %d of the OAuth header", number)
}

func (s *signed) addParam(name, value string) error {
	if len(s.params) == maxParams {
		return refuse("the request has more than %d parameters to sign", maxParams)
	}
	s.params = append(s.params, param{name, value})
	return nil
}

// addForm adds the parameters of a query or form body (RFC 5849, 3.4.1.3.1); where names it in refusals.
func (s *signed) addForm(where, form string) error {
	if len(form) > maxSigned {
		return refuse("the %s has more than %d bytes to sign", where, maxSigned)
	}
	err := EachField(form, s.addParam)
	if err == errPercent {
		return refuse("the %s has a percent sign without two hex digits", where)
	}
	return err
}

var errPercent = errors.New("a percent sign stands without two hex digits")

// EachField calls field with each decoded field of a query or form body, until it returns an error.
func EachField(form string, field func(name, value string) error) error {
	for form != "" {
		var pair string
		pair, form, _ = strings.Cut(form, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil {
			return errPercent
		}
		if err := field(name, value); err != nil {
			return err
		}
	}
	return nil
}

// normalize builds the last part of the base string (RFC 5849, 3.4.1.3.2), of all but the signature. Some clients repeat
// an oauth_* parameter of the header in the query or form but sign it once: it counts once; differing values are refused.
// Others may repeat.
func (s *signed) normalize() error {
	for _, p := range s.params {
		at := span{name: len(s.text)}
		s.text = appendEncoded(s.text, p.name, "%25")
		at.value = len(s.text)
		s.text = appendEncoded(s.text, p.value, "%25")
		at.end = len(s.text)
		s.spans = append(s.spans, at)
	}
	// Double encoding keeps the order: each percent sign became the same three characters.
	text := s.text
	slices.SortFunc(s.spans, func(a, b span) int {
		if by := bytes.Compare(text[a.name:a.value], text[b.name:b.value]); by != 0 {
			return by
		}
		return bytes.Compare(text[a.value:a.end], text[b.value:b.end])
	})
	separator := "&"
	var lastName, lastValue []byte
	for _, at := range s.spans {
		name, value := text[at.name:at.value], text[at.value:at.end]
		if bytes.Equal(name, lastName) && bytes.HasPrefix(name, []byte("oauth_")) {
			if !bytes.Equal(value, lastValue) {
				return refuse("%.24s appears twice with different values", name)
			}
			continue
		}
		lastName, lastValue = name, value
		if string(name) == "oauth_signature" {
			continue
		}
		s.base = append(append(s.base, separator...), name...)
		s.base = append(append(s.base, "%3D"...), value...)
		separator = "%26"
	}
	return nil
}

// setPrefix builds the base string before the parameters (RFC 5849, 3.4.1.1). path is as sent, because the client signed
// its own encoding.
func (s *signed) setPrefix(method string, o origin, path string) {
	s.prefix = append(append(s.prefix[:0], strings.ToUpper(method)...), '&')
	for _, part := range [...]string{o.scheme, "://", o.host, path} {
		s.prefix = appendEncoded(s.prefix, part, "%")
	}
}

// NormalOrigin lower-cases scheme and host and drops the scheme's default port (RFC 5849, 3.4.1.2).
func NormalOrigin(origin string) string {
	origin = strings.ToLower(origin)
	if s, ok := strings.CutSuffix(origin, ":80"); ok && strings.HasPrefix(s, "http://") {
		return s
	}
	if s, ok := strings.CutSuffix(origin, ":443"); ok && strings.HasPrefix(s, "https://") {
		return s
	}
	return origin
}

func withoutPort(host string) string {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || strings.IndexByte(host[i:], ']') >= 0 { // [::1] is no port
		return host
	}
	return host[:i]
}

// unreserved are the characters that stand for themselves.
var unreserved = func() (is [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~") {
		is[c] = true
	}
	return is
}()

const upperHex = "0123456789ABCDEF"

// appendEncoded percent-encodes text (RFC 5849, 3.6): once if percent is "%", twice if it is "%25".
func appendEncoded(b []byte, text, percent string) []byte {
	from := 0
	for i := range len(text) {
		if c := text[i]; !unreserved[c] {
			b = append(append(b, text[from:i]...), percent...)
			b = append(b, upperHex[c>>4], upperHex[c&15])
			from = i + 1
		}
	}
	return append(b, text[from:]...)
}
