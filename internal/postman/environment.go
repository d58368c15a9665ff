package postman

// Environment is what the requests of a collection take from outside. What is not known is empty.
type Environment struct {
	BaseURL                        string // of the server, without a trailing slash
	UserID, Username               string // who calls
	PostID                         string // what is liked
	OwnPostID                      string // a post of who calls
	CallbackURL                    string // registered by the app
	ClientID, ClientSecret         string
	AccessToken, RefreshToken      string // OAuth 2.0
	APIKey, APISecret              string
	OAuth1Token, OAuth1TokenSecret string
	BearerToken                    string // app-only
}

// MarshalJSON writes the environment as Postman imports it.
func (e Environment) MarshalJSON() ([]byte, error) {
	type value struct {
		Key     string `json:"key"`
		Value   string `json:"value"`
		Type    string `json:"type"` // default, or secret for what is not to be seen on a screen
		Enabled bool   `json:"enabled"`
	}
	var values []value
	add := func(kind string, pairs ...string) {
		for i := 0; i < len(pairs); i += 2 {
			values = append(values, value{pairs[i], pairs[i+1], kind, true})
		}
	}
	add("default", "baseUrl", e.BaseURL, "userId", e.UserID, "username", e.Username, "postId", e.PostID, "ownPostId", e.OwnPostID,
		"callbackUrl", e.CallbackURL, "clientId", e.ClientID, "apiKey", e.APIKey)
	add("secret", "clientSecret", e.ClientSecret, "accessToken", e.AccessToken, "refreshToken", e.RefreshToken, "apiSecret", e.APISecret,
		"oauth1Token", e.OAuth1Token, "oauth1TokenSecret", e.OAuth1TokenSecret, "bearerToken", e.BearerToken, "tokenToRevoke", "")
	add("default", "webhookUrl", "", "streams", "") // runs leave out what needs them
	return encodeEnvironment(values)
}

func encodeEnvironment(values any) ([]byte, error) {
	return Encode(map[string]any{"name": "liked", "values": values, "_postman_variable_scope": "environment"}), nil
}
