package oauth

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"liked/internal/auth"
	"liked/internal/exchange"
)

const (
	maxForm   = 64 << 10 // bytes of a body, and of a query
	maxFields = 100      // parameters
)

// Form is the parameters of a request's query and body.
type Form map[string][]string

// First returns the first value of a field of our own forms, "" if it is missing.
func (f Form) First(name string) string { return url.Values(f).Get(name) }

// one returns the parameter, "" if it is missing. A repeated one is refused (RFC 6749, 3.1 and 3.2).
func (f Form) one(name string) (string, error) {
	if len(f[name]) > 1 {
		return "", fmt.Errorf("parameter %s appears more than once", name)
	}
	return f.First(name), nil
}

// readParams reads query and body: X's TypeScript SDK puts everything into a POST's query, others send a form, one JSON.
func readParams(r *http.Request) (Form, error) {
	f := make(Form)
	if err := f.add(r.URL.RawQuery); err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	if r.Method != http.MethodPost || r.Body == nil {
		return f, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the body cannot be read: %w", err)
	case len(body) > maxForm:
		return nil, fmt.Errorf("the body has more than %d bytes", maxForm)
	case len(body) == 0:
		return f, nil
	}
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && mediaType == "" {
		mediaType = "application/x-www-form-urlencoded" // the only one of RFC 6749
	}
	switch mediaType {
	case "application/x-www-form-urlencoded":
		err = f.add(string(body))
	case "application/json":
		err = f.addJSON(body)
	default:
		err = errors.New("its content type is neither application/x-www-form-urlencoded nor application/json")
	}
	encoded := !utf8.Valid(body) && r.Header.Get("Content-Encoding") != "" // of plain text the header does no harm
	if err == nil && (encoded || bytes.HasPrefix(body, []byte("\ufeff"))) {
		err = errors.New("it is not plain text")
	}
	if err != nil {
		return nil, errors.New(cmp.Or(exchange.BodyForm(r.Header, body), "body: "+err.Error()))
	}
	return f, nil
}

func (f Form) add(encoded string) error {
	if len(encoded) > maxForm {
		return fmt.Errorf("it has more than %d bytes", maxForm)
	}
	return auth.EachField(encoded, f.addField)
}

func (f Form) addField(name, value string) error {
	if len(f) >= maxFields && f[name] == nil {
		return fmt.Errorf("there are more than %d parameters", maxFields)
	}
	if len(f[name]) < 2 { // two are enough for one to refuse
		f[name] = append(f[name], value)
	}
	return nil
}

// addJSON adds an object's string members and ignores others.
func (f Form) addJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); !json.Valid(text) || err != nil || t != json.Delim('{') {
		return errors.New("it is not a JSON object")
	}
	for d.More() {
		var value any
		name, err := d.Token()
		if err = cmp.Or(err, d.Decode(&value)); err != nil {
			return err
		}
		if s, ok := value.(string); ok {
			if err := f.addField(name.(string), s); err != nil {
				return err
			}
		}
	}
	return nil
}

// basic returns the user and password of HTTP Basic, decoded (RFC 6749, 2.3.1). given: there is an Authorization
// header; ok: it is readable.
func basic(h http.Header) (user, password string, given, ok bool) {
	given = len(h["Authorization"]) > 0
	scheme, text, err := auth.Authorization(h)
	if err != nil || !strings.EqualFold(scheme, "Basic") {
		return "", "", given, false
	}
	plain, err := base64.StdEncoding.DecodeString(text)
	user, password, ok = strings.Cut(string(plain), ":")
	if err != nil || !ok {
		return "", "", given, false
	}
	user, err1 := url.QueryUnescape(user)
	password, err2 := url.QueryUnescape(password)
	return user, password, given, err1 == nil && err2 == nil
}
