package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

const (
	maxForm   = 64 << 10 // bytes of a body, and of a query
	maxFields = 100      // parameters
)

// params are the parameters of a request, wherever they stood. A parameter that appears twice is refused when it is
// asked for (RFC 6749, 3.1 and 3.2), others are ignored.
type params map[string][]string

// repeated is a parameter that appears more than once.
type repeated string

func (name repeated) Error() string { return "parameter " + string(name) + " appears more than once" }

// one returns the parameter, which is "" if it is missing.
func (p params) one(name string) (string, error) {
	switch values := p[name]; len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", repeated(name)
}

// readParams merges what stands in the query and in the body: X's own TypeScript SDK puts everything into the query of a
// POST, others send a form, and one sends JSON.
func readParams(r *http.Request) (params, error) {
	p := make(params)
	if err := p.addForm(r.URL.RawQuery); err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	if r.Method != http.MethodPost || r.Body == nil {
		return p, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the body cannot be read: %w", err)
	case len(body) > maxForm:
		return nil, fmt.Errorf("the body has more than %d bytes", maxForm)
	case len(body) == 0:
		return p, nil
	}
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && mediaType == "" {
		mediaType = "application/x-www-form-urlencoded" // the only one that RFC 6749 knows
	}
	switch mediaType {
	case "application/x-www-form-urlencoded":
		err = p.addForm(string(body))
	case "application/json":
		err = p.addJSON(body)
	default:
		err = fmt.Errorf("its content type is neither application/x-www-form-urlencoded nor application/json")
	}
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	return p, nil
}

func (p params) add(name, value string) error {
	if len(p) >= maxFields && p[name] == nil {
		return fmt.Errorf("there are more than %d parameters", maxFields)
	}
	if len(p[name]) < 2 { // the second tells all
		p[name] = append(p[name], value)
	}
	return nil
}

func (p params) addForm(form string) error {
	if len(form) > maxForm {
		return fmt.Errorf("it has more than %d bytes", maxForm)
	}
	for form != "" {
		var pair string
		pair, form, _ = strings.Cut(form, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, ok1 := formDecoded(name)
		value, ok2 := formDecoded(value)
		if !ok1 || !ok2 {
			return errors.New("a percent sign stands without two hex digits")
		}
		if err := p.add(name, value); err != nil {
			return err
		}
	}
	return nil
}

// addJSON adds the members of an object whose value is a string. Others are no parameters and ignored.
func (p params) addJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("it is not a JSON object")
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return errors.New("it is not JSON")
		}
		var value any
		if err := d.Decode(&value); err != nil {
			return errors.New("it is not JSON")
		}
		if s, ok := value.(string); ok {
			if err := p.add(name.(string), s); err != nil {
				return err
			}
		}
	}
	if _, err := d.Token(); err != nil {
		return errors.New("it is not JSON")
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the JSON object")
	}
	return nil
}

// basic returns the user and password of HTTP's Basic scheme, decoded as RFC 6749, 2.3.1 has them encoded. given says
// that there is an Authorization header at all, ok that it is one that can be read.
func basic(h http.Header) (user, password string, given, ok bool) {
	headers := h["Authorization"]
	if len(headers) == 0 {
		return "", "", false, false
	}
	if len(headers) > 1 || len(headers[0]) > maxHeader {
		return "", "", true, false
	}
	scheme, text, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", true, false
	}
	plain, err := base64.StdEncoding.DecodeString(strings.Trim(text, " "))
	if err != nil {
		return "", "", true, false
	}
	user, password, ok = strings.Cut(string(plain), ":")
	if !ok {
		return "", "", true, false
	}
	user, ok1 := formDecoded(user)
	password, ok2 := formDecoded(password)
	return user, password, true, ok1 && ok2
}
