package auth

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash"
	"io"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"liked"
	"liked/internal/exchange"
	"liked/internal/store"
)

const (
	maxSkew = 300 // seconds between oauth_timestamp and the clock, either way
	// nonceMemory is how many seconds after its timestamp a nonce is stored (RFC 5849, 3.3): 300 more than maxSkew, so
	// that setting the clock back does not readmit old requests.
	nonceMemory = 600
)

// oauth1 authenticates the signer (RFC 5849, 3.2). text is the header after the scheme. The parameters of the protocol
// leave the query, since they are no endpoint's.
func (a *Auth) oauth1(r *http.Request, text string) (liked.Principal, error) {
	s := a.scratch.Get().(*signed)
	defer a.release(s)
	if err := s.read(r, text); err != nil {
		return liked.Principal{}, err
	}
	c, err := a.signedBy(r, s, true, a.signer)
	if err != nil {
		return liked.Principal{}, err
	}
	if strings.Contains(r.URL.RawQuery, "oauth_") {
		fields := strings.Split(r.URL.RawQuery, "&")
		r.URL.RawQuery = strings.Join(slices.DeleteFunc(fields, func(f string) bool { return strings.HasPrefix(f, "oauth_") }), "&")
	}
	return c.principal, nil
}

func (a *Auth) release(s *signed) {
	s.reset()
	a.scratch.Put(s)
}

// signedElsewhere reports whether a request without an Authorization header has a signature in its query or form body.
func signedElsewhere(r *http.Request) bool {
	const name = "oauth_signature="
	if strings.Contains(r.URL.RawQuery, name) {
		return true
	}
	form, _ := readForm(r) // an error comes again when the body is read for good
	return strings.Contains(form, name)
}

// signedBy verifies the signature with the key of the caller that find returns, and keeps the nonce. Without token,
// oauth_token may be missing. An error may be a coded one.
func (a *Auth) signedBy(
	r *http.Request, s *signed, token bool, find func(ctx context.Context, key, token string) (*caller, error),
) (*caller, error) {
	at := a.now()
	earlier := at // of the clocks that clients may sign by: what it has left behind is too old for both
	timestamp, err := s.check(at.Unix(), token)
	if a.real != nil {
		real := a.real()
		if ce, ok := errors.AsType[coded](err); ok && ce.code == codeTimestamp {
			if n, realErr := s.check(real.Unix(), token); realErr == nil {
				timestamp, err = n, nil
			}
		}
		if real.Before(earlier) {
			earlier = real
		}
	}
	if err != nil {
		return nil, err
	}
	key, oauthToken := s.get("oauth_consumer_key"), s.get("oauth_token")
	c, err := find(r.Context(), key, oauthToken)
	if err != nil {
		return nil, err
	}
	if err := s.normalize(); err != nil {
		return nil, err
	}
	matched, err := a.verify(r, s, c.signer)
	if d := exchange.DetailsOf(r.Context()); d != nil {
		var found bool
		d.Signature, found = a.explain(r, s, c, matched)
		switch {
		case found:
			err = coded{codeSignature, refuse("the signature does not match: %s", d.Signature.Difference)}
		case d.Signature.Difference != "":
			err = coded{codeSignature, refuse("%v; %s", err, d.Signature.Difference)}
		}
	}
	if err != nil {
		return nil, err
	}

	// Last: a forged request must use up neither a genuine nonce nor the space for nonces. What is before the nonce is
	// known to have no zero byte, and signed as it is written.
	nonce := HashOf(key, oauthToken, s.get("oauth_timestamp"), s.get("oauth_nonce"))
	fresh, err := a.store.UseNonce(r.Context(), earlier, c.principal.App, nonce, time.Unix(timestamp+nonceMemory, 0))
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
	codeSignature = "32"
	codeBadToken  = "89"
	codeTimestamp = "135"
	codeBadData   = "215"
	codeSuspended = "416"
)

// check validates the protocol's parameters except for the signature, and returns the timestamp. Times are Unix seconds.
func (s *signed) check(now int64, token bool) (timestamp int64, err error) {
	for _, name := range [...]string{"oauth_consumer_key", "oauth_token", "oauth_signature_method", "oauth_signature",
		"oauth_timestamp", "oauth_nonce"} {
		if s.get(name) == "" && (token || name != "oauth_token") {
			return 0, coded{codeBadData, refuse("%s is missing", name)}
		}
	}
	if method := s.get("oauth_signature_method"); method != "HMAC-SHA1" && method != "HMAC-SHA256" {
		return 0, refuse("oauth_signature_method is %.20q; only HMAC-SHA1 and HMAC-SHA256 are accepted", method)
	}
	if version := s.get("oauth_version"); version != "" && version != "1.0" && !strings.EqualFold(version, "1.0a") {
		return 0, refuse("oauth_version is %.20q, neither 1.0 nor 1.0a", version)
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
	_, c, err := a.readSigner(ctx, key, token)
	if err != nil {
		return nil, err
	}
	a.signers.put(hash, c, before)
	return c, nil
}

// readSigner returns the app of a consumer key and who signs for it: the user of the token, or nobody without one.
func (a *Auth) readSigner(ctx context.Context, key, token string) (liked.App, *caller, error) {
	app, err := a.Consumer(ctx, key)
	if err != nil {
		return liked.App{}, nil, err
	}
	apiSecret, err := a.apiSecret(app)
	if err != nil {
		return liked.App{}, nil, err
	}
	c, tokenSecret := &caller{principal: liked.Principal{App: app.ID}}, ""
	if token != "" {
		c, tokenSecret, err = a.readOAuth1Token(ctx, app.App, token)
	}
	if err != nil {
		return liked.App{}, nil, err
	}
	c.signer = &signer{key: appendEncoded(append(appendEncoded(nil, apiSecret, "%"), '&'), tokenSecret, "%")}
	return app.App, c, nil
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

// Signed is a request of an app to a token endpoint.
type Signed struct {
	App    liked.App
	User   liked.UserID        // of the access token that it is signed with, zero for none
	Params map[string][]string // of header, query and form, those of the protocol included; equal values once
}

// Signed verifies the signature of a request to a token endpoint, with or without an access token of the app. Errors are
// those of Authenticate, which may have a method Code with X's code.
func (a *Auth) Signed(r *http.Request) (out Signed, err error) {
	s := a.scratch.Get().(*signed)
	defer a.release(s)
	scheme, text, err := credentials(r)
	if err != nil || !strings.EqualFold(scheme, "OAuth") {
		return out, coded{codeBadData, refuse("there is not one Authorization header of scheme OAuth and at most %d bytes", maxHeader)}
	}
	if err := s.read(r, text); err != nil {
		return out, err
	}
	c, err := a.signedBy(r, s, false, func(ctx context.Context, key, token string) (c *caller, err error) {
		out.App, c, err = a.readSigner(ctx, key, token)
		return c, err
	})
	if err != nil {
		return out, err
	}
	out.User, out.Params = c.principal.User, s.values()
	return out, nil
}

// Unsigned returns the parameters that Signed would, whether or not the request is signed.
func (a *Auth) Unsigned(r *http.Request) (map[string][]string, error) {
	s := a.scratch.Get().(*signed)
	defer a.release(s)
	scheme, text, _ := Authorization(r.Header)
	if !strings.EqualFold(scheme, "OAuth") {
		text = ""
	}
	err := s.read(r, text)
	return s.values(), err
}

func (s *signed) values() map[string][]string {
	all := make(map[string][]string)
	for _, p := range s.params {
		if values := all[p.name]; !slices.Contains(values, p.value) {
			all[p.name] = append(values, p.value)
		}
	}
	return all
}

// Consumer returns the app of a consumer key.
func (a *Auth) Consumer(ctx context.Context, key string) (store.App, error) {
	app, err := a.store.AppByAPIKey(ctx, key)
	if err != nil {
		hint := ""
		if strings.HasSuffix(LooksLike(key, ""), "client id") {
			hint = "; it looks like an OAuth 2.0 client id"
		}
		return store.App{}, refuseIfNotFound(err, "no app has this oauth_consumer_key%s", hint)
	}
	if app.State == liked.AppSuspended {
		return store.App{}, coded{codeSuspended, refuse("app %d is suspended", app.ID)}
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

// signer computes HMACs with one key (RFC 5849, 3.4.2), keeping one of each kind that has digested it: half of the work.
type signer struct {
	key  []byte
	idle [2]atomic.Pointer[keyed]
}

type keyed struct{ hash.Hash }

// verify tries every base URL that the client may have signed, and returns the one that it did. s is normalized.
func (a *Auth) verify(r *http.Request, s *signed, by *signer) (origin, error) {
	kind, size, newHash := 0, sha1.Size, sha1.New
	if s.get("oauth_signature_method") == "HMAC-SHA256" {
		kind, size, newHash = 1, sha256.Size, sha256.New
	}
	var got [sha256.Size + 2]byte // what the decoder may write
	signature := s.get("oauth_signature")
	if len(signature) != base64.StdEncoding.EncodedLen(size) {
		signature = ""
	}
	if n, err := base64.StdEncoding.Decode(got[:], []byte(signature)); err != nil || n != size {
		return origin{}, refuse("oauth_signature is not the base64 form of %d bytes", size)
	}
	path := cmp.Or(r.URL.EscapedPath(), "/")
	mac := by.idle[kind].Swap(nil)
	if mac == nil {
		mac = &keyed{hmac.New(newHash, by.key)}
	}
	defer by.idle[kind].Store(mac)
	var tried []string
	for o := range a.origins(r) {
		s.setPrefix(r.Method, o, path)
		mac.Reset()
		mac.Write(s.prefix)
		mac.Write(s.base)
		s.sum = mac.Sum(s.sum[:0])
		if hmac.Equal(s.sum, got[:size]) {
			return o, nil
		}
		tried = append(tried, o.scheme+"://"+o.host)
	}
	return origin{}, coded{codeSignature, refuse("the signature does not match %s %s at any of %s: the secrets, the URL or the parameters "+
		"differ from what was signed", r.Method, path, strings.Join(tried, ", "))}
}

// origins are those that the client may have signed, each once, the likeliest first.
func (a *Auth) origins(r *http.Request) iter.Seq[origin] {
	return func(yield func(origin) bool) {
		scheme, host, _ := strings.Cut(NormalOrigin(a.baseURL(r)), "://")
		first := origin{scheme, host}
		if !yield(first) {
			return
		}
		once := []origin{first}
		for _, o := range [...]origin{
			{scheme, withoutPort(host)},                          // some clients omit the port
			{"https", strings.TrimSuffix(host, ":443")},          // behind a proxy that ends TLS unannounced
			{"https", "api.x.com"}, {"https", "api.twitter.com"}, // a rerouted client with a fixed host
		} {
			if slices.Contains(once, o) {
				continue
			}
			if once = append(once, o); !yield(o) {
				return
			}
		}
	}
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
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !utf8.Valid(form) {
		return "", refuse("the form body has the Content-Encoding %.20q, which this server does not decode: send it as it is", coding)
	}
	return string(form), nil
}
