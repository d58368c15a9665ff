package admin

import (
	"net/http"

	"liked"
	"liked/internal/auth"
)

// GivenSecrets are credentials of an app that were made elsewhere; empty ones are made. Of a development server alone.
type GivenSecrets struct {
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"` // confidential apps only
	APIKey       string `json:"api_key,omitempty"`
	APISecret    string `json:"api_secret,omitempty"`
	BearerToken  string `json:"bearer_token,omitempty"` // app-only
}

func (g GivenSecrets) credentials() auth.AppCredentials {
	return auth.AppCredentials{ClientID: g.ClientID, APIKey: g.APIKey,
		AppSecrets: auth.AppSecrets{ClientSecret: g.ClientSecret, APISecret: g.APISecret, Bearer: g.BearerToken}}
}

// GivenApp is NewApp with secrets that are given.
type GivenApp struct {
	NewApp
	GivenSecrets
}

func (h *Handler) addGivenApp(r *http.Request, in GivenApp) (MadeApp, error) {
	return h.makeApp(r.Context(), 0, in.NewApp, in.credentials())
}

func (h *Handler) setGivenApp(r *http.Request, in GivenApp) (MadeApp, error) {
	return h.putApp(r, in.NewApp, in.credentials())
}

// GivenToken is NewToken with the token that is given; what is empty is made. A token of kind oauth1 is given with its
// secret. Of kind app, the token becomes the app's. Whoever had a token before loses it.
type GivenToken struct {
	NewToken
	Token        string `json:"token,omitempty"`
	TokenSecret  string `json:"token_secret,omitempty"`  // kind oauth1
	RefreshToken string `json:"refresh_token,omitempty"` // kind user
}

func (h *Handler) issueGivenToken(r *http.Request, in GivenToken) (Token, error) {
	switch {
	case in.Kind != "user" && in.RefreshToken != "":
		return Token{}, liked.Errorf(liked.Invalid, "a refresh token is given with a token of kind user")
	case in.Kind != "oauth1" && in.TokenSecret != "":
		return Token{}, liked.Errorf(liked.Invalid, "a token secret is given with a token of kind oauth1")
	}
	return h.makeToken(r.Context(), in)
}
