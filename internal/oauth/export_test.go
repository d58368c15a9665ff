package oauth

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
)

// ReadParams reads the parameters of a POST, and returns how to get one.
func ReadParams(query, contentType, body string) (one func(name string) (string, error), err error) {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.URL = &url.URL{RawQuery: query}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	p, err := readParams(r)
	return p.one, err
}

// Basic reads the value of an Authorization header.
func Basic(header string) (user, password string, ok bool) {
	user, password, _, ok = basic(http.Header{"Authorization": {header}})
	return user, password, ok
}

// WithQuery adds parameters to a URI.
func WithQuery(uri string, members ...string) string { return withQuery(uri, members...) }
