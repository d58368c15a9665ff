package postman

import (
	"encoding/json"
)

// Auth is how a request is authorized.
type Auth struct {
	kind   string
	values []attribute
}

type attribute struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
	Type  string `json:"type"`
}

// MarshalJSON writes the kind, and the values under its name.
func (a Auth) MarshalJSON() ([]byte, error) {
	object := map[string]any{"type": a.kind}
	if a.values != nil {
		object[a.kind] = a.values
	}
	return json.Marshal(object)
}

func newAuth(kind string, pairs ...string) *Auth {
	a := &Auth{kind: kind, values: []attribute{}}
	for i := 0; i < len(pairs); i += 2 {
		a.values = append(a.values, attribute{pairs[i], pairs[i+1], "string"})
	}
	return a
}

// NoAuth is for what nobody needs to be known for.
func NoAuth() *Auth { return &Auth{kind: "noauth"} }

// Bearer authorizes with a token as it is.
func Bearer(token string) *Auth { return newAuth("bearer", "token", token) }

// Basic authorizes with a name and a password (RFC 7617).
func Basic(username, password string) *Auth {
	return newAuth("basic", "username", username, "password", password)
}

// OAuth2 authorizes with the access token of the environment, and has Postman get another by the authorization code
// flow with PKCE (RFC 7636), at our paths and with the scopes.
func OAuth2(authorize, token, scopes string) *Auth {
	a := newAuth("oauth2", "accessToken", "{{accessToken}}", "tokenType", "bearer", "headerPrefix", "Bearer", "addTokenTo", "header",
		"tokenName", "liked", "grant_type", "authorization_code_with_pkce", "challengeAlgorithm", "S256",
		"authUrl", "{{baseUrl}}"+authorize, "accessTokenUrl", "{{baseUrl}}"+token, "refreshTokenUrl", "{{baseUrl}}"+token,
		"redirect_uri", "{{callbackUrl}}", "clientId", "{{clientId}}", "clientSecret", "{{clientSecret}}",
		"scope", scopes, "state", "{{$guid}}", "client_authentication", "header")
	a.values = append(a.values, attribute{"useBrowser", false, "boolean"})
	return a
}

// OAuth1 signs requests (RFC 5849), as the user of the environment or, with a callback, to ask for a request token.
func OAuth1(callback string) *Auth {
	a := newAuth("oauth1", "consumerKey", "{{apiKey}}", "consumerSecret", "{{apiSecret}}", "signatureMethod", "HMAC-SHA1", "version", "1.0")
	if callback == "" {
		a.values = append(a.values, newAuth("", "token", "{{oauth1Token}}", "tokenSecret", "{{oauth1TokenSecret}}").values...)
	} else {
		a.values = append(a.values, newAuth("", "callback", callback).values...)
	}
	a.values = append(a.values, attribute{"addParamsToHeader", true, "boolean"}, attribute{"addEmptyParamsToSign", false, "boolean"})
	return a
}
