// Package auth answers who is calling, and gives callers what they prove it with. Start with [New]; then
// [Auth.Authenticate] reads a request's Authorization header as the X API does:
//
//   - Bearer with an OAuth 2.0 user token (RFC 6750),
//   - Bearer with an app-only token, told apart by its first 21 letters,
//   - OAuth with an OAuth 1.0a signature (RFC 5849, HMAC-SHA1).
//
// [Auth.NewApp], [Auth.IssueTokens] and [Auth.IssueOAuth1Token] make credentials in X's shapes. Only hashes of them
// reach the store, or sealed secrets where HMAC-SHA1 needs the plain value. No page and no path is known here: the way to a
// token is in package oauth.
package auth

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"liked"
	"liked/internal/store"
)

// Options is what New needs. Every field is required.
type Options struct {
	Store   CallerStore
	Seal    [32]byte                   // AES-256-GCM key that seals secrets which HMAC needs in the clear
	BaseURL func(*http.Request) string // "scheme://host[:port]" as the client is taken to have signed it
	Now     func() time.Time
	Rand    io.Reader // read under a lock, so it need not be safe for concurrent use
}

// CallerStore is what Authenticate needs besides: which nonces were used, and whether what is remembered still holds.
type CallerStore interface {
	Store
	store.Changes
	store.Limits
}

// Auth identifies callers. It is safe for concurrent use and holds nothing that must be closed.
type Auth struct {
	*Issuer
	callers CallerStore
	baseURL func(*http.Request) string

	bearers principals // by hash of the token
	signers principals // by hash of consumer key and token
	scratch sync.Pool  // of *signed
}

// New returns an Auth that works with the store.
func New(o Options) (*Auth, error) {
	var missing []error
	for _, f := range []struct {
		name string
		ok   bool
	}{
		{"Store", o.Store != nil}, {"BaseURL", o.BaseURL != nil}, {"Now", o.Now != nil}, {"Rand", o.Rand != nil},
	} {
		if !f.ok {
			missing = append(missing, fmt.Errorf("auth: %s is missing", f.name))
		}
	}
	if len(missing) > 0 {
		return nil, errors.Join(missing...)
	}
	issuer, err := NewIssuer(o.Store, o.Seal, o.Now, o.Rand)
	if err != nil {
		return nil, err
	}
	a := &Auth{
		Issuer:  issuer,
		callers: o.Store,
		baseURL: o.BaseURL,
		bearers: newPrincipals(o.Store),
		signers: newPrincipals(o.Store),
		scratch: sync.Pool{New: func() any { return new(signed) }},
	}
	return a, nil
}

// maxHeader bounds the Authorization header, in bytes. The longest that X's clients send is under 1 KiB.
const maxHeader = 8 << 10

// Authenticate says who sent the request. Nothing but its one Authorization header counts; of an OAuth 1.0a request a
// form body is read, being part of what is signed, and left in r.Body for the handler.
//
// A suspended, deactivated or locked account is returned with its State, for the caller to judge. The error is a
// *liked.Error: Unauthorized with the reason, for the operator's eyes, in Msg (never a secret, a token or a signature);
// Unavailable when no more nonces can be remembered; or what the store returned.
func (a *Auth) Authenticate(r *http.Request) (liked.Principal, error) {
	scheme, rest, err := Authorization(r.Header)
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
	// What stands there instead is not quoted: it may be a token without its scheme.
	return liked.Principal{}, refuse("the Authorization header starts with neither Bearer nor OAuth")
}

// Authorization splits the one Authorization header of a request. The error, of kind Unauthorized, says that there is none,
// more than one, or too much of it.
func Authorization(h http.Header) (scheme, rest string, err error) {
	headers := h["Authorization"]
	if len(headers) == 0 {
		return "", "", refuse("there is no Authorization header")
	}
	if len(headers) > 1 {
		return "", "", refuse("there are %d Authorization headers", len(headers))
	}
	header := headers[0]
	if len(header) > maxHeader {
		return "", "", refuse("the Authorization header has %d bytes; at most %d are read", len(header), maxHeader)
	}
	scheme, rest, _ = strings.Cut(header, " ")
	return scheme, strings.Trim(rest, " "), nil
}

// refuse says why a caller could not be identified.
func refuse(format string, args ...any) error {
	return liked.Errorf(liked.Unauthorized, format, args...)
}

// refuseIfNotFound turns the store's NotFound into a refusal and leaves other errors as they are.
func refuseIfNotFound(err error, format string, args ...any) error {
	if notFound(err) {
		return refuse(format, args...)
	}
	return err
}

func notFound(err error) bool { return err != nil && liked.KindOf(err) == liked.NotFound }

// HashOf returns the SHA-256 of the secret.
func HashOf(secret string) store.Hash {
	var space [128]byte // on the stack, and enough for all that is issued here
	return sha256.Sum256(append(space[:0], secret...))
}
