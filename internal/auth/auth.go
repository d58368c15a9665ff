// Package auth authenticates callers and issues their credentials. Start with [New]; [Auth.Authenticate] then reads a
// request's Authorization header as the X API does:
//
//   - Bearer with an OAuth 2.0 user token (RFC 6750),
//   - Bearer with an app-only token, recognized by its first 21 letters,
//   - OAuth with an OAuth 1.0a signature (RFC 5849, HMAC-SHA1 or HMAC-SHA256), which may stand in the query or a form instead.
//
// [Issuer] makes credentials in X's formats. The store gets only hashes, or sealed secrets where HMAC-SHA1 needs the plain
// value. The flows that issue tokens are in package oauth.
package auth

import (
	"crypto/sha256"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"liked"
	"liked/internal/store"
)

// Options configures New. Every field but Dev and Real is required.
type Options struct {
	Store   Store
	Seal    [32]byte                   // see NewIssuer
	BaseURL func(*http.Request) string // "scheme://host[:port]" that the client presumably signed
	Now     func() time.Time
	Rand    io.Reader // see NewIssuer
	Dev     bool      // a development server: redirect URIs may be http to anywhere

	// Real, if not nil, is another clock that OAuth 1.0a clients may sign by: their own, while Now is moved. Neither goes back.
	Real func() time.Time
}

// Auth authenticates callers. It is safe for concurrent use and needs no closing.
type Auth struct {
	*Issuer
	baseURL func(*http.Request) string
	real    func() time.Time // nil: none

	bearers principals // by hash of the token
	signers principals // by hash of consumer key and token
	scratch sync.Pool  // of *signed
}

// New returns an Auth.
func New(o Options) *Auth {
	a := &Auth{
		Issuer:  NewIssuer(o.Store, o.Seal, o.Now, o.Rand),
		baseURL: o.BaseURL,
		real:    o.Real,
		bearers: newPrincipals(o.Store),
		signers: newPrincipals(o.Store),
		scratch: sync.Pool{New: func() any { return new(signed) }},
	}
	a.dev = o.Dev
	return a
}

// maxHeader bounds the Authorization header, in bytes. X's clients send less than 1 KiB.
const maxHeader = 8 << 10

// Authenticate identifies the caller. A form body that is part of an OAuth 1.0a signature stays readable in r.Body.
//
// A suspended, deactivated or locked account is returned with its State; the caller decides. The error is a
// *liked.Error: Unauthorized with the reason, for the operator (never a secret, token or signature); Unavailable when
// no more nonces can be stored; or the store's.
func (a *Auth) Authenticate(r *http.Request) (liked.Principal, error) {
	scheme, rest, err := credentials(r)
	if err != nil {
		return liked.Principal{}, err
	}
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return a.bearer(r.Context(), rest)
	case strings.EqualFold(scheme, "OAuth"):
		return a.oauth1(r, rest)
	case strings.EqualFold(scheme, "Basic"):
		return liked.Principal{}, refuse("the Authorization header has scheme Basic, which is for token endpoints alone")
	}
	// The value is not quoted: it may be a token without its scheme.
	return liked.Principal{}, refuse("the Authorization header starts with neither Bearer nor OAuth")
}

// credentials is Authorization for a request that OAuth 1.0a may sign elsewhere.
func credentials(r *http.Request) (scheme, rest string, err error) {
	if len(r.Header["Authorization"]) == 0 && signedElsewhere(r) {
		return "OAuth", "", nil
	}
	return Authorization(r.Header)
}

// Authorization splits the one Authorization header. Unauthorized if it is missing, repeated or too long.
func Authorization(h http.Header) (scheme, rest string, err error) {
	headers := h["Authorization"]
	switch {
	case len(headers) == 0:
		return "", "", refuse("there is no Authorization header")
	case len(headers) > 1:
		return "", "", refuse("there are %d Authorization headers", len(headers))
	case len(headers[0]) > maxHeader:
		return "", "", refuse("the Authorization header has %d bytes; at most %d are read", len(headers[0]), maxHeader)
	}
	scheme, rest, _ = strings.Cut(headers[0], " ")
	return scheme, strings.Trim(rest, " "), nil
}

func refuse(format string, args ...any) error {
	return liked.Errorf(liked.Unauthorized, format, args...)
}

func refuseIfNotFound(err error, format string, args ...any) error {
	if notFound(err) {
		return refuse(format, args...)
	}
	return err
}

func notFound(err error) bool { return liked.KindOf(err) == liked.NotFound }

// HashOf returns the SHA-256 of the secret, or of several parts with a zero byte after each but the last.
func HashOf(parts ...string) store.Hash {
	var space [512]byte // on the stack; fits all credentials
	b := append(space[:0], parts[0]...)
	for _, part := range parts[1:] {
		b = append(append(b, 0), part...)
	}
	return sha256.Sum256(b)
}
