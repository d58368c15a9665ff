package auth

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"hash"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"liked"
	"liked/internal/store"
)

const (
	maxSkew = 300 // seconds between oauth_timestamp and the clock, either way
	// nonceMemory is how many seconds after its timestamp a nonce is stored (RFC 5849, 3.3): 300 more than maxSkew, so
	// that setting the clock back does not readmit old requests.
	nonceMemory = 600
)

// oauth1 authenticates the signer (RFC 5849, 3.2). text is the header after the scheme.
func (a *Auth) oauth1(r *http.Request, text string) (liked.Principal, error) {
	s := a.scratch.Get().(*signed)
	defer a.release(s)
	c, err := a.signedBy(r, text, s, true, a.signer)
	if err != nil {
		return liked.Principal{}, err
	}
	return c.principal, nil
}

func (a *Auth) release(s *signed) {
	s.reset()
	a.scratch.Put(s)
}

// signedBy verifies the signature with the key of the caller that find returns, and stores the nonce. s then holds the
// parameters. Without token, oauth_token may be missing. An error may be a coded one.
func (a *Auth) signedBy(
	r *http.Request, text string, s *signed, token bool, find func(ctx context.Context, key, token string) (*caller, error),
) (*caller, error) {
	if err := s.parseHeader(text); err != nil {
		return nil, coded{codeBadData, err}
	}
	at := a.now()
	timestamp, err := s.check(at.Unix(), token)
	if err != nil {
		return nil, err
	}
	key, oauthToken := s.get("oauth_consumer_key"), s.get("oauth_token")
	c, err := find(r.Context(), key, oauthToken)
	if err != nil {
		return nil, err
	}
	if err := s.addForm("query", r.URL.RawQuery); err != nil {
		return nil, err
	}
	form, err := readForm(r)
	if err == nil {
		err = s.addForm("form body", form)
	}
	if err == nil {
		err = s.normalize()
	}
	if err != nil {
		return nil, err
	}
	if err := a.verify(r, s, c.signer); err != nil {
		return nil, err
	}

	// Last: a forged request must use up neither a genuine nonce nor the space for nonces. What is before the nonce is
	// known to have no zero byte, and signed as it is written.
	nonce := HashOf(key, oauthToken, s.get("oauth_timestamp"), s.get("oauth_nonce"))
	fresh, err := a.store.UseNonce(r.Context(), at, c.principal.App, nonce, time.Unix(timestamp+nonceMemory, 0))
	if err == nil && !fresh {
		err = refuse("the oauth_nonce was used before with oauth_timestamp %d: each request needs a nonce of its own", timestamp)
	}
	return c, err
}

// coded is an error with X's code. Other packages find it by its method.
type coded struct {
	code string
	error
}

func (c coded) Unwrap() error { return c.error }
func (c coded) Code() string  { return c.code }

const (
	codeBadToken  = "89"
	codeTimestamp = "135"
	codeBadData   = "215"
)

// check validates the header's parameters except for the signature, and returns the timestamp. Times are Unix seconds.
func (s *signed) check(now int64, token bool) (timestamp int64, err error) {
	for _, name := range [...]string{"oauth_consumer_key", "oauth_token", "oauth_signature_method", "oauth_signature",
		"oauth_timestamp", "oauth_nonce"} {
		if s.get(name) == "" && (token || name != "oauth_token") {
			return 0, coded{codeBadData, refuse("%s is missing from the OAuth header", name)}
		}
	}
	if method := s.get("oauth_signature_method"); method != "HMAC-SHA1" {
		return 0, refuse("oauth_signature_method is %.20q; only HMAC-SHA1 is accepted", method)
	}
	if version := s.get("oauth_version"); version != "" && version != "1.0" {
		return 0, refuse("oauth_version is %.20q, not 1.0", version)
	}
	if n := len(s.get("oauth_nonce")); n > maxNonce {
		return 0, refuse("oauth_nonce has %d bytes; at most %d are accepted", n, maxNonce)
	}
	n, err := strconv.ParseUint(s.get("oauth_timestamp"), 10, 63) // digits only
	if err != nil {
		return 0, coded{codeTimestamp, refuse("oauth_timestamp is not a number of seconds since 1970")}
	}
	timestamp = int64(n)
	skew, side := now-timestamp, "behind"
	if skew < 0 {
		skew, side = -skew, "ahead of"
	}
	if skew > maxSkew {
		return 0, coded{codeTimestamp, refuse("oauth_timestamp %d is %d s %s the server's clock; at most %d s are allowed",
			timestamp, skew, side, maxSkew)}
	}
	return timestamp, nil
}

const maxNonce = 256 // bytes

func (a *Auth) signer(ctx context.Context, key, token string) (*caller, error) {
	hash := HashOf(key, token)
	if c := a.signers.get(hash); c != nil {
		return c, nil
	}
	before := a.signers.before()
	app, err := a.consumerApp(ctx, key)
	if err != nil {
		return nil, err
	}
	apiSecret, err := a.apiSecret(app)
	if err != nil {
		return nil, err
	}
	c, tokenSecret, err := a.readOAuth1Token(ctx, app.App, token)
	if err != nil {
		return nil, err
	}
	c.signer = newSigner(apiSecret, tokenSecret)
	a.signers.put(hash, c, before)
	return c, nil
}

// OAuth1Secret returns the user and secret of the app's access token. Refusals are those of Authenticate.
func (a *Auth) OAuth1Secret(ctx context.Context, app liked.App, token string) (user liked.UserID, secret string, err error) {
	c, secret, err := a.readOAuth1Token(ctx, app, token)
	if err != nil {
		return 0, "", err
	}
	return c.principal.User, secret, nil
}

func (a *Auth) readOAuth1Token(ctx context.Context, app liked.App, token string) (c *caller, secret string, err error) {
	kept, grant, err := a.store.OAuth1Token(ctx, HashOf(token))
	switch {
	case notFound(err):
		return nil, "", coded{codeBadToken, refuse("the oauth_token is unknown or was revoked")}
	case err != nil:
		return nil, "", err
	case grant.App != app.ID:
		return nil, "", coded{codeBadToken, refuse("the oauth_token belongs to app %d, the oauth_consumer_key to app %d", grant.App, app.ID)}
	}
	p, err := a.principal(ctx, liked.OAuth1User, app, grant.User)
	if err != nil {
		return nil, "", err
	}
	p.Access = kept.Access
	if secret, err = a.Unseal(sealTokenSecret, string(kept.Token[:]), kept.SealedSecret); err != nil {
		return nil, "", coded{codeBadToken, refuse("the secret of the oauth_token of user %d is lost: %v; the user has to consent again",
			grant.User, err)}
	}
	return &caller{principal: p, grant: grant.ID}, secret, nil
}

// Signed is a request with a valid OAuth 1.0a signature.
type Signed struct {
	App    liked.App
	Token  string              // oauth_token, "" for none
	Params map[string][]string // all that was signed; equal values once
}

// Signed verifies the signature of a request to a token endpoint. secret returns the secret of the header's oauth_token
// ("" for none), and may refuse app and token. Errors are its own, or those of Authenticate, which may have a method
// Code with X's code.
func (a *Auth) Signed(r *http.Request, secret func(app liked.App, token string) (string, error)) (out Signed, err error) {
	scheme, text, err := Authorization(r.Header)
	if err != nil || !strings.EqualFold(scheme, "OAuth") {
		return out, coded{codeBadData, refuse("there is not one Authorization header of scheme OAuth and at most %d bytes", maxHeader)}
	}
	s := a.scratch.Get().(*signed)
	defer a.release(s)
	_, err = a.signedBy(r, text, s, false, func(ctx context.Context, key, token string) (*caller, error) {
		app, err := a.consumerApp(ctx, key)
		if err != nil {
			return nil, err
		}
		out.App, out.Token = app.App, token
		tokenSecret, err := secret(app.App, token)
		if err != nil {
			return nil, err
		}
		apiSecret, err := a.apiSecret(app)
		if err != nil {
			return nil, err
		}
		return &caller{signer: newSigner(apiSecret, tokenSecret)}, nil
	})
	if err != nil {
		return out, err
	}
	out.Params = make(map[string][]string)
	for _, v := range s.params {
		if values := out.Params[v.name]; !slices.Contains(values, v.value) {
			out.Params[v.name] = append(values, v.value)
		}
	}
	return out, nil
}

func (a *Auth) consumerApp(ctx context.Context, key string) (store.App, error) {
	app, err := a.store.AppByAPIKey(ctx, key)
	if err != nil {
		hint := ""
		if strings.HasSuffix(LooksLike(key), "client id") {
			hint = "; it looks like an OAuth 2.0 client id"
		}
		return store.App{}, refuseIfNotFound(err, "no app has this oauth_consumer_key%s", hint)
	}
	return app, nil
}

// apiSecret refuses an app whose secret cannot be unsealed: it needs new API keys.
func (a *Issuer) apiSecret(app store.App) (string, error) {
	secret, err := a.Unseal(sealAPISecret, app.APIKey, app.SealedAPISecret)
	if err != nil {
		return "", refuse("the API secret of app %d is lost: %v; the app needs new API keys (liked app renew)", app.ID, err)
	}
	return secret, nil
}

// signer computes HMAC-SHA1 with one key (RFC 5849, 3.4.2), keeping an HMAC that has digested it: half of the work.
type signer struct {
	key  []byte
	idle atomic.Pointer[keyed]
}

type keyed struct{ hash.Hash }

func newSigner(consumerSecret, tokenSecret string) *signer {
	key := append(appendEncoded(nil, consumerSecret, "%"), '&')
	return &signer{key: appendEncoded(key, tokenSecret, "%")}
}

// verify tries every base URL that the client may have signed. s is normalized.
func (a *Auth) verify(r *http.Request, s *signed, by *signer) error {
	var got [sha1.Size + 2]byte // what the decoder may write
	signature := s.get("oauth_signature")
	n, err := base64.StdEncoding.Decode(got[:], []byte(signature[:min(len(signature), 29)]))
	if err != nil || len(signature) != 28 || n != sha1.Size {
		return refuse("oauth_signature is not the base64 form of 20 bytes")
	}
	path := cmp.Or(r.URL.EscapedPath(), "/")
	mac := by.idle.Swap(nil)
	if mac == nil {
		mac = &keyed{hmac.New(sha1.New, by.key)}
	}
	defer by.idle.Store(mac)
	scheme, host, _ := strings.Cut(NormalOrigin(a.baseURL(r)), "://")
	origins := [...]origin{
		{scheme, host},
		{scheme, withoutPort(host)}, // some clients omit the port
		{"https", strings.TrimSuffix(strings.ToLower(r.Host), ":443")}, // behind a proxy that ends TLS unannounced
		{"https", "api.x.com"}, {"https", "api.twitter.com"}, // a rerouted client with a fixed host
	}
	for i, o := range origins {
		if slices.Contains(origins[:i], o) {
			continue
		}
		s.setPrefix(r.Method, o, path)
		mac.Reset()
		mac.Write(s.prefix)
		mac.Write(s.base)
		s.sum = mac.Sum(s.sum[:0])
		if hmac.Equal(s.sum, got[:n]) {
			return nil
		}
	}
	var tried []string
	for i, o := range origins {
		if !slices.Contains(origins[:i], o) {
			tried = append(tried, o.scheme+"://"+o.host)
		}
	}
	return refuse("the signature does not match %s %s at any of %s: the secrets, the URL or the parameters differ from what was signed",
		r.Method, path, strings.Join(tried, ", "))
}

// origin is the normalized scheme and host of a URL.
type origin struct{ scheme, host string }

// IsForm reports whether the content type is that of a form, which is signed.
func IsForm(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "application/x-www-form-urlencoded")
}

// readForm returns a form body, and leaves r.Body to be read again with the same end or error.
func readForm(r *http.Request) (string, error) {
	if r.Body == nil || r.Body == http.NoBody || !IsForm(r.Header.Get("Content-Type")) {
		return "", nil
	}
	body := r.Body
	form, err := io.ReadAll(io.LimitReader(body, maxSigned+1))
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(form), body), body}
	if err != nil {
		return "", &liked.Error{Kind: liked.Unauthorized, Msg: "the form body, which is signed, cannot be read", Err: err}
	}
	return string(form), nil
}
