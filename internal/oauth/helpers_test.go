package oauth_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"liked"
	"liked/internal/auth"
	"liked/internal/store"
	"liked/internal/store/pebblestore"
)

// clock is a clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = at
}

func (c *clock) Add(d time.Duration) { c.Set(c.Now().Add(d)) }

func newStore(t testing.TB, o pebblestore.Options) *pebblestore.Store {
	t.Helper()
	s, err := pebblestore.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { prove(t, s) })
	return s
}

// prove closes the store, unless the test has done that, once it has shown that it agrees with itself.
func prove(t testing.TB, s *pebblestore.Store) {
	t.Helper()
	switch report, err := s.Check(context.Background()); {
	case err != nil && liked.KindOf(err) == liked.Unavailable: // the test closed it
	case err != nil || len(report.Problems) > 0:
		t.Errorf("check: %q, %v", report.Problems, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func newAuth(t testing.TB, s store.Store, c *clock) *auth.Auth {
	t.Helper()
	a := auth.New(auth.Options{
		Store:   s,
		Seal:    [32]byte{1, 2, 3},
		BaseURL: func(r *http.Request) string { return "http://" + r.Host },
		Now:     c.Now,
		Rand:    seeded(t.Name()),
	})
	return a
}

func newRequest(t testing.TB, method, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func seeded(seed string) io.Reader {
	return rand.NewChaCha8([32]byte([]byte(seed + strings.Repeat(".", 32))[:32]))
}

// client signs as RFC 5849 describes it, step by step.
type client struct {
	key, secret, token, tokenSecret string
	nonce                           string
	timestamp                       string
	version                         string      // left out if empty
	extra                           [][2]string // further header parameters
}

// oauth returns the header's parameters but for the signature.
func (c client) oauth() [][2]string {
	params := [][2]string{
		{"oauth_consumer_key", c.key}, {"oauth_signature_method", "HMAC-SHA1"},
		{"oauth_timestamp", c.timestamp}, {"oauth_nonce", c.nonce},
	}
	if c.token != "" {
		params = append(params, [2]string{"oauth_token", c.token})
	}
	if c.version != "" {
		params = append(params, [2]string{"oauth_version", c.version})
	}
	return append(params, c.extra...)
}

// header signs a request for the URL with the form body, both as they are sent.
func (c client) header(t testing.TB, method, rawURL, form string) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	check(t, err)
	params := c.oauth()
	for _, encoded := range []string{u.RawQuery, form} {
		values, err := url.ParseQuery(encoded)
		check(t, err)
		for k, vs := range values {
			for _, v := range vs {
				params = append(params, [2]string{k, v})
			}
		}
	}
	base := plainBaseString(method, u.Scheme+"://"+strings.ToLower(u.Host)+u.EscapedPath(), params)
	return c.headerWith(signature(base, c.secret, c.tokenSecret))
}

func (c client) headerWith(signature string) string {
	var list []string
	for _, p := range append(c.oauth(), [2]string{"oauth_signature", signature}) {
		list = append(list, encode(p[0])+`="`+encode(p[1])+`"`)
	}
	return "OAuth " + strings.Join(list, ", ")
}

func (c client) request(t testing.TB, method, rawURL string) *http.Request {
	t.Helper()
	r := newRequest(t, method, rawURL, "")
	r.Header.Set("Authorization", c.header(t, method, rawURL, ""))
	return r
}

func encode(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func signature(base, secret, tokenSecret string) string {
	mac := hmac.New(sha1.New, []byte(encode(secret)+"&"+encode(tokenSecret)))
	mac.Write([]byte(base))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// plainBaseString is the base string, the slow way. An oauth_* parameter that repeats itself counts once.
func plainBaseString(method, baseURL string, params [][2]string) string {
	var encoded [][2]string
	for _, p := range params {
		e := [2]string{encode(p[0]), encode(p[1])}
		if !strings.HasPrefix(p[0], "oauth_") || !slices.Contains(encoded, e) {
			encoded = append(encoded, e)
		}
	}
	slices.SortFunc(encoded, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	var list []string
	for _, p := range encoded {
		list = append(list, p[0]+"="+p[1])
	}
	return method + "&" + encode(baseURL) + "&" + encode(strings.Join(list, "&"))
}
