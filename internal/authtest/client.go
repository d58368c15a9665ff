package authtest

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// Client signs as RFC 5849 describes it, step by step.
type Client struct {
	Key, Secret, Token, TokenSecret string
	Nonce                           string
	Timestamp                       string
	Version                         string      // left out if empty
	Extra                           [][2]string // further header parameters
	Hash                            string      // empty: SHA1
}

// Params returns the header's parameters but for the signature.
func (c Client) Params() [][2]string {
	params := [][2]string{
		{"oauth_consumer_key", c.Key}, {"oauth_signature_method", "HMAC-" + cmp.Or(c.Hash, "SHA1")},
		{"oauth_timestamp", c.Timestamp}, {"oauth_nonce", c.Nonce},
	}
	if c.Token != "" {
		params = append(params, [2]string{"oauth_token", c.Token})
	}
	if c.Version != "" {
		params = append(params, [2]string{"oauth_version", c.Version})
	}
	return append(params, c.Extra...)
}

// Header signs a request for the URL with the form body, both as they are sent.
func (c Client) Header(t testing.TB, method, rawURL, form string) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	Check(t, err)
	params := c.Params()
	for _, encoded := range []string{u.RawQuery, form} {
		values, err := url.ParseQuery(encoded)
		Check(t, err)
		for k, vs := range values {
			for _, v := range vs {
				params = append(params, [2]string{k, v})
			}
		}
	}
	base := BaseString(method, u.Scheme+"://"+strings.ToLower(u.Host)+u.EscapedPath(), params)
	return c.HeaderWith(c.Sign(base))
}

// HeaderWith is Header with a signature made elsewhere.
func (c Client) HeaderWith(signature string) string {
	var list []string
	for _, p := range append(c.Params(), [2]string{"oauth_signature", signature}) {
		list = append(list, Encode(p[0])+`="`+Encode(p[1])+`"`)
	}
	return "OAuth " + strings.Join(list, ", ")
}

// Request returns a signed request without a body.
func (c Client) Request(t testing.TB, method, rawURL string) *http.Request {
	t.Helper()
	r := NewRequest(t, method, rawURL, "")
	r.Header.Set("Authorization", c.Header(t, method, rawURL, ""))
	return r
}

// Encode percent-encodes (RFC 5849, 3.6).
func Encode(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// Sign returns the signature of a base string.
func (c Client) Sign(base string) string {
	sum := map[string]func() hash.Hash{"": sha1.New, "SHA256": sha256.New}[c.Hash]
	mac := hmac.New(sum, []byte(Encode(c.Secret)+"&"+Encode(c.TokenSecret)))
	mac.Write([]byte(base))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// BaseString is the base string of RFC 5849, 3.4.1, the slow way. An oauth_* parameter that repeats itself counts once.
func BaseString(method, baseURL string, params [][2]string) string {
	var encoded [][2]string
	for _, p := range params {
		e := [2]string{Encode(p[0]), Encode(p[1])}
		if !strings.HasPrefix(p[0], "oauth_") || !slices.Contains(encoded, e) {
			encoded = append(encoded, e)
		}
	}
	slices.SortFunc(encoded, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	var list []string
	for _, p := range encoded {
		list = append(list, p[0]+"="+p[1])
	}
	return method + "&" + Encode(baseURL) + "&" + Encode(strings.Join(list, "&"))
}
