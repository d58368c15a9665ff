package auth

import (
	"context"
	"strings"

	"liked"
	"liked/internal/store"
)

// ParseHeader returns the decoded parameters of the value of an OAuth header, but for realm and oauth_signature, and
// the signature.
func ParseHeader(text string) (params [][2]string, signature string, err error) {
	s := new(signed)
	if err := s.parseHeader(text); err != nil {
		return nil, "", err
	}
	for _, p := range s.params {
		if p.name != "oauth_signature" {
			params = append(params, [2]string{p.name, p.value})
		}
	}
	return params, s.get("oauth_signature"), s.normalize()
}

// BaseString returns the signature base string of a request.
func BaseString(method, base, path, header, query, form string) (string, error) {
	s := new(signed)
	if err := s.parseHeader(header); err != nil {
		return "", err
	}
	if err := s.addForm("query", query); err != nil {
		return "", err
	}
	if err := s.addForm("form body", form); err != nil {
		return "", err
	}
	if err := s.normalize(); err != nil {
		return "", err
	}
	scheme, host, _ := strings.Cut(NormalOrigin(base), "://")
	s.setPrefix(method, origin{scheme, host}, path)
	return string(s.prefix) + string(s.base), nil
}

// AddApp adds the app with an API secret that was chosen elsewhere.
func (a *Auth) AddApp(ctx context.Context, spec liked.App, apiSecret string) error {
	app := store.App{App: spec}
	app.SealedAPISecret = a.Seal(sealAPISecret, app.APIKey, apiSecret)
	return a.store.AddApp(ctx, app)
}

// AddOAuth1Token adds a token that was chosen elsewhere.
func (a *Auth) AddOAuth1Token(ctx context.Context, app liked.AppID, user liked.UserID, token, secret string) error {
	g := store.Grant{App: app, User: user}
	err := a.newGrant(ctx, &g)
	if err != nil {
		return err
	}
	t := store.OAuth1Token{Token: HashOf(token), Access: liked.ReadWrite}
	t.SealedSecret = a.Seal(sealTokenSecret, string(t.Token[:]), secret)
	return a.store.AddOAuth1Token(ctx, g, t)
}

// Unseal opens a sealed secret for the purpose and owner of the app-only token of an app.
func (a *Auth) UnsealBearer(clientID string, sealed []byte) (string, error) {
	return a.Unseal(sealBearer, clientID, sealed)
}

const (
	MaxSigned = maxSigned
	MaxHeader = maxHeader
)

// PasswordSlots is how many passwords are hashed at once.
func (a *Auth) PasswordSlots() int { return cap(a.passwords) }

// HoldPasswords keeps hashes of passwords from being computed until it is told to go on.
func (a *Auth) HoldPasswords() (goOn func()) {
	for range cap(a.passwords) {
		a.passwords <- struct{}{}
	}
	return func() {
		for range cap(a.passwords) {
			<-a.passwords
		}
	}
}

// ParsePassword reads a stored password, and writes it again.
func ParsePassword(encoded string) (again string, memory, time uint32, ok bool) {
	h, ok := parsePassword(encoded)
	return h.String(), h.memory, h.time, ok
}
