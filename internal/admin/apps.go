package admin

import (
	"context"
	"net/http"
	"time"

	"liked"
	"liked/internal/auth"
	"liked/internal/store"
)

// App is an app without its secrets.
type App struct {
	ID           liked.AppID    `json:"id"`
	Name         string         `json:"name"`
	Owner        liked.UserID   `json:"owner_id,omitempty"` // zero: the operator
	Type         string         `json:"type"`               // public or confidential
	State        liked.AppState `json:"state"`
	Tier         liked.Tier     `json:"tier"`
	Access       liked.Access   `json:"access"`
	RedirectURIs []string       `json:"redirect_uris,omitempty"`
	CreatedAt    time.Time      `json:"created_at"`
	ClientID     string         `json:"client_id"`
	APIKey       string         `json:"api_key"`
}

const (
	public       = "public"
	confidential = "confidential"
)

func appType(a liked.App) string {
	if a.Public {
		return public
	}
	return confidential
}

func appOf(a liked.App) App {
	return App{ID: a.ID, Name: a.Name, Owner: a.Owner, Type: appType(a), State: a.State, Tier: a.Tier, Access: a.Access,
		RedirectURIs: a.RedirectURIs, CreatedAt: a.CreatedAt, ClientID: a.ClientID, APIKey: a.APIKey}
}

// NewApp creates an app. Only Name is required.
type NewApp struct {
	Type string `json:"type,omitempty"` // empty: confidential
	AppFields
}

// AppFields are settings; nil leaves one as it is. A new app may read and write, is enrolled and may call everything.
type AppFields struct {
	Name         *string         `json:"name,omitempty"`
	Owner        *string         `json:"owner,omitempty"` // id or username; empty: the operator. A change ends all but the secrets
	State        *liked.AppState `json:"state,omitempty"`
	Tier         *liked.Tier     `json:"tier,omitempty"`
	Access       *liked.Access   `json:"access,omitempty"` // for OAuth 1.0a tokens issued from now on
	RedirectURIs *[]string       `json:"redirect_uris,omitempty"`
}

func (in NewApp) apply(a *liked.App) error {
	if in.Type != "" {
		a.Public = in.Type == public
	}
	if in.Type != "" && in.Type != public && in.Type != confidential {
		return liked.Errorf(liked.Invalid, "app type %q is not one of [%s %s]", in.Type, public, confidential)
	}
	in.AppFields.apply(a)
	return nil
}

func (f AppFields) apply(a *liked.App) {
	set(&a.Name, f.Name)
	set(&a.State, f.State)
	set(&a.Tier, f.Tier)
	set(&a.Access, f.Access)
	set(&a.RedirectURIs, f.RedirectURIs)
}

// MadeApp is an app with its new secrets, shown only once.
type MadeApp struct {
	App
	ClientSecret string `json:"client_secret,omitempty"` // confidential apps only
	APISecret    string `json:"api_secret,omitempty"`
	BearerToken  string `json:"bearer_token,omitempty"`
}

// NewSecret replaces a credential of an app. The old one is invalid at once.
type NewSecret struct {
	What string `json:"what"` // client_secret, api_keys or bearer_token
}

type AppList struct {
	Apps []App `json:"apps"`
}

func madeApp(a liked.App, s auth.AppSecrets) MadeApp {
	return MadeApp{appOf(a), s.ClientSecret, s.APISecret, s.Bearer}
}

func (h *Handler) addApp(r *http.Request, in NewApp) (MadeApp, error) {
	return h.makeApp(r.Context(), 0, in, auth.AppCredentials{})
}

// makeApp adds an app; without an id it gets one.
func (h *Handler) makeApp(ctx context.Context, id liked.AppID, in NewApp, given auth.AppCredentials) (MadeApp, error) {
	a := liked.App{ID: id, Access: liked.ReadWrite, CreatedAt: h.created(nil)}
	if err := h.own(ctx, in.Owner, &a); err != nil {
		return MadeApp{}, err
	}
	if err := in.apply(&a); err != nil {
		return MadeApp{}, err
	}
	if a.Name == "" {
		return MadeApp{}, liked.Errorf(liked.Invalid, "enter a name")
	}
	a, secrets, err := h.Auth.NewAppWith(ctx, a, given)
	return madeApp(a, secrets), err
}

// setApp makes an app what is said; members left out stay. Without such an app it makes one, of that id or that name.
func (h *Handler) setApp(r *http.Request, in NewApp) (MadeApp, error) {
	return h.putApp(r, in, auth.AppCredentials{})
}

func (h *Handler) putApp(r *http.Request, in NewApp, given auth.AppCredentials) (MadeApp, error) {
	a, err := h.pathApp(r)
	if err != nil && liked.KindOf(err) == liked.NotFound {
		id, failed := liked.ParseID[liked.AppID](r.PathValue("app"))
		if name := r.PathValue("app"); failed != nil && in.Name == nil {
			in.Name = &name
		}
		return h.makeApp(r.Context(), id, in, given)
	}
	if err == nil {
		err = h.own(r.Context(), in.Owner, &a)
	}
	if err == nil {
		err = in.apply(&a)
	}
	if err != nil {
		return MadeApp{}, err
	}
	a, secrets, err := h.Auth.SetApp(r.Context(), a.ID, func(stored *liked.App) {
		if in.Owner != nil {
			stored.Owner = a.Owner
		}
		_ = in.apply(stored) // it did not fail above
	}, given)
	return madeApp(a, secrets), err
}

func (h *Handler) apps(r *http.Request) (AppList, error) {
	apps, err := h.Store.Apps(r.Context())
	return AppList{each(apps, appOf)}, err
}

// app finds an app by id, client id, or a unique name.
func (h *Handler) app(ctx context.Context, name string) (liked.App, error) {
	apps, err := h.Store.Apps(ctx)
	if err != nil {
		return liked.App{}, err
	}
	var named []liked.App
	for _, a := range apps {
		if a.ID.String() == name || a.ClientID == name {
			return a, nil
		}
		if a.Name == name {
			named = append(named, a)
		}
	}
	switch len(named) {
	case 0:
		return liked.App{}, liked.Errorf(liked.NotFound, "no app %q", name)
	case 1:
		return named[0], nil
	}
	return liked.App{}, liked.Errorf(liked.Conflict, "%d apps are called %q; give the id", len(named), name)
}

func (h *Handler) pathApp(r *http.Request) (liked.App, error) {
	return h.app(r.Context(), r.PathValue("app"))
}

func (h *Handler) getApp(_ *http.Request, a liked.App) (App, error) { return appOf(a), nil }

func (h *Handler) changeApp(r *http.Request, in AppFields) (App, error) {
	a, err := h.pathApp(r)
	if err != nil {
		return App{}, err
	}
	if err := h.own(r.Context(), in.Owner, &a); err != nil {
		return App{}, err
	}
	owner := a.Owner
	err = h.Store.UpdateApp(r.Context(), a.ID, func(stored *store.App) error {
		if in.Owner != nil {
			stored.Owner = owner
		}
		in.apply(&stored.App)
		a = stored.App
		return h.Auth.CheckApp(a)
	})
	return appOf(a), err
}

// own sets the owner unless name is nil.
func (h *Handler) own(ctx context.Context, name *string, a *liked.App) error {
	if name == nil || *name == "" {
		if name != nil {
			a.Owner = 0
		}
		return nil
	}
	u, err := h.user(ctx, *name)
	a.Owner = u.ID
	return err
}

func (h *Handler) deleteApp(r *http.Request, a liked.App) (Changed, error) {
	if a.ID == auth.ExplorerApp {
		return Changed{}, liked.Errorf(liked.Forbidden, "the app of the API explorer is the server's own; it cannot be deleted")
	}
	return Changed{true}, h.Store.DeleteApp(r.Context(), a.ID)
}

func (h *Handler) renewApp(r *http.Request, in NewSecret) (MadeApp, error) {
	a, err := h.pathApp(r)
	if err != nil {
		return MadeApp{}, err
	}
	a, secrets, _, err := h.Auth.Regenerate(r.Context(), a.Owner, a.ID, in.What)
	return madeApp(a, secrets), err
}

// NewToken issues a credential of an app.
type NewToken struct {
	// Kind is "user" (OAuth 2.0 user access token), "app" (app-only bearer token, always the same one) or "oauth1"
	// (OAuth 1.0a user access token).
	Kind string `json:"kind"`
	App  string `json:"app"`            // id, client id or name
	User string `json:"user,omitempty"` // id or username; not for kind app

	Scopes          string        `json:"scopes,omitempty"`           // kind user; empty: all of them
	LifetimeSeconds int64         `json:"lifetime_seconds,omitempty"` // kind user; zero: two hours
	Access          *liked.Access `json:"access,omitempty"`           // kind oauth1; nil: the app's
}

// Token is a credential, shown only once.
type Token struct {
	Kind         string `json:"kind"`
	Token        string `json:"token"`
	TokenSecret  string `json:"token_secret,omitempty"`  // kind oauth1
	RefreshToken string `json:"refresh_token,omitempty"` // kind user, with offline.access
	Scope        string `json:"scope,omitempty"`         // kind user
	ExpiresIn    int64  `json:"expires_in,omitempty"`    // kind user, seconds
}

// maxLifetime keeps lifetimes within a time.Duration, expiries within valid dates.
const maxLifetime = 100 * 365 * 24 * time.Hour

func (h *Handler) issueToken(r *http.Request, in NewToken) (Token, error) {
	return h.makeToken(r.Context(), GivenToken{NewToken: in})
}

func (h *Handler) makeToken(ctx context.Context, in GivenToken) (Token, error) {
	switch {
	case in.Kind != "user" && in.Kind != "app" && in.Kind != "oauth1":
		return Token{}, liked.Errorf(liked.Invalid, "token kind %q is not one of [user app oauth1]", in.Kind)
	case in.Kind == "app" && in.User != "":
		return Token{}, liked.Errorf(liked.Invalid, "an app-only token has no user")
	case in.Kind != "user" && (in.Scopes != "" || in.LifetimeSeconds != 0):
		return Token{}, liked.Errorf(liked.Invalid, "scopes and lifetime are for tokens of kind user")
	case in.Kind != "oauth1" && in.Access != nil:
		return Token{}, liked.Errorf(liked.Invalid, "the access level is for tokens of kind oauth1")
	case in.LifetimeSeconds < 0 || in.LifetimeSeconds > int64(maxLifetime/time.Second):
		return Token{}, liked.Errorf(liked.Invalid, "a lifetime is from 1 second to 100 years")
	}
	scopes, err := liked.AllScopes, error(nil)
	if in.Scopes != "" {
		if scopes, err = liked.ParseScope(in.Scopes); err != nil {
			return Token{}, err
		}
	}
	app, err := h.app(ctx, in.App)
	if err != nil {
		return Token{}, err
	}
	if in.Kind == "app" {
		if in.Token != "" {
			_, secrets, err := h.Auth.SetApp(ctx, app.ID, func(*liked.App) {}, auth.AppCredentials{AppSecrets: auth.AppSecrets{Bearer: in.Token}})
			return Token{Kind: in.Kind, Token: secrets.Bearer}, err
		}
		token, err := h.Auth.Bearer(ctx, app.ID)
		return Token{Kind: in.Kind, Token: token}, err
	}
	user, err := h.user(ctx, in.User)
	if err != nil {
		return Token{}, err
	}
	if in.Kind == "oauth1" {
		access := app.Access
		set(&access, in.Access)
		token, secret := in.Token, in.TokenSecret
		if token == "" && secret == "" {
			token, secret, err = h.Auth.IssueOAuth1Token(ctx, app.ID, user.ID, access)
		} else {
			err = h.Auth.GiveOAuth1Token(ctx, app.ID, user.ID, access, token, secret)
		}
		return Token{Kind: in.Kind, Token: token, TokenSecret: secret}, err
	}
	t, err := h.Auth.GiveTokens(ctx, app.ID, user.ID, scopes, time.Duration(in.LifetimeSeconds)*time.Second, in.Token, in.RefreshToken)
	return Token{Kind: in.Kind, Token: t.AccessToken, RefreshToken: t.RefreshToken, Scope: t.Scopes.String(),
		ExpiresIn: int64(t.ExpiresIn / time.Second)}, err
}

// OneToken names a token. It is in the body because paths are logged.
type OneToken struct {
	Token string `json:"token"`
}

// Expiring names what is to expire: a token, or all of a kind that the user granted the app.
type Expiring struct {
	Token string `json:"token,omitempty"` // an access token, with those of its grant; a refresh token; a code
	User  string `json:"user,omitempty"`  // id or username
	App   string `json:"app,omitempty"`   // id, client id or name; empty: any
	Kind  string `json:"kind,omitempty"`  // access, refresh or code
}

// expireToken makes tokens expire now.
func (h *Handler) expireToken(r *http.Request, in Expiring) (Changed, error) {
	switch {
	case in.Token != "" && (in.User != "" || in.App != "" || in.Kind != ""):
		return Changed{}, liked.Errorf(liked.Invalid, "give a token alone, or a user with a kind")
	case in.Token != "":
		return Changed{true}, h.expireOne(r.Context(), in.Token)
	case in.User == "" || in.Kind != "access" && in.Kind != "refresh" && in.Kind != "code":
		return Changed{}, liked.Errorf(liked.Invalid, "give a token, or a user with a kind: access, refresh or code")
	}
	user, err := h.user(r.Context(), in.User)
	var app liked.App
	if err == nil && in.App != "" {
		app, err = h.app(r.Context(), in.App)
	}
	if err != nil {
		return Changed{}, err
	}
	if in.Kind == "code" {
		return Changed{true}, h.Store.ExpireCodes(r.Context(), store.Hash{}, user.ID, app.ID, h.Now())
	}
	grants, err := h.Store.GrantsOf(r.Context(), user.ID)
	if err != nil {
		return Changed{}, err
	}
	changed := false
	for _, g := range grants {
		if g.OAuth1 || app.ID != 0 && g.App != app.ID {
			continue
		}
		changed = true
		if in.Kind == "access" {
			err = h.Store.ExpireTokens(r.Context(), g.ID, h.Now())
		} else {
			err = h.Store.ExpireRefreshToken(r.Context(), g.ID)
		}
		if err != nil {
			return Changed{}, err
		}
	}
	return Changed{changed}, nil
}

func (h *Handler) expireOne(ctx context.Context, token string) error {
	hash := auth.HashOf(token)
	if _, err := h.Store.Code(ctx, hash); err == nil {
		return h.Store.ExpireCodes(ctx, hash, 0, 0, h.Now())
	}
	if t, g, err := h.Store.RefreshToken(ctx, hash); err == nil {
		if !t.Spent.IsZero() {
			return liked.Errorf(liked.Conflict, "the refresh token was spent before")
		}
		return h.Store.ExpireRefreshToken(ctx, g.ID)
	}
	g, err := h.Auth.GrantOf(ctx, token)
	if err != nil {
		return err
	}
	if g.OAuth1 {
		return liked.Errorf(liked.Invalid, "an OAuth 1.0a token never expires; revoke it")
	}
	return h.Store.ExpireTokens(ctx, g.ID, h.Now())
}

func (h *Handler) revokeToken(r *http.Request, in OneToken) (Changed, error) {
	if in.Token == "" {
		return Changed{}, liked.Errorf(liked.Invalid, "no token given")
	}
	return Changed{true}, h.Auth.Revoke(r.Context(), in.Token)
}
