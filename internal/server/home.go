package server

import (
	"sync"

	"liked/internal/api"
	"liked/internal/home"
	"liked/internal/oauth"
	"liked/internal/postman"
	"liked/internal/web"
)

// homeOptions is what the page at / and the files for Postman are made from.
func (s *Server) homeOptions(x *api.API, o *observer) home.Options {
	environment := postman.Environment{BaseURL: s.origins()[0]}
	options := home.Options{Store: s.store, Likes: o.likes[1].Load, NoPage: s.NoHomePage, Observe: o.observe,
		Page: web.Home{API: "X’s API of " + s.profile.String()}, Collection: sync.OnceValue(func() []byte { return s.collection(x) }),
		Environment: func() []byte { return postman.Encode(environment) }}
	if s.credentials == nil {
		return options
	}
	user, _ := s.credentials.First()
	known := s.credentials.Postman(user)
	dev := &web.HomeDev{Username: user.Username}
	options.Page.Dev = dev
	if !s.openWorld() {
		environment.UserID, environment.Username = known.UserID, known.Username
		environment.PostID, environment.OwnPostID = known.PostID, known.OwnPostID
		environment.CallbackURL, environment.ClientID, environment.APIKey = known.CallbackURL, known.ClientID, known.APIKey
		return options
	}
	environment = known
	app := s.credentials.Apps[0]
	if s.tls == nil { // curl would want to know whose certificate to trust
		dev.Curl = s.credentials.Curl("")
	}
	dev.Secrets = []web.Secret{
		{Label: "User ID", Value: user.ID.String()},
		{Label: "Password", Value: user.Password},
		{Label: "OAuth 2.0 access token", Value: user.AccessToken},
		{Label: "OAuth 2.0 refresh token", Value: user.RefreshToken},
		{Label: "OAuth 1.0a access token", Value: user.OAuth1Token},
		{Label: "OAuth 1.0a access token secret", Value: user.OAuth1TokenSecret},
		{Label: "Client ID of the app " + app.Name, Value: app.ClientID},
		{Label: "Client secret", Value: app.ClientSecret},
		{Label: "API key", Value: app.APIKey},
		{Label: "API key secret", Value: app.APISecret},
		{Label: "Bearer token", Value: app.BearerToken},
	}
	return options
}

// collection is every request that the server answers, for Postman.
func (s *Server) collection(x *api.API) []byte {
	tokens, oauth2 := oauth.Postman(s.profile.String())
	return postman.Encode(postman.Collection{
		Info: postman.Info{Name: "liked", Schema: postman.Schema, Description: "X’s API v2 around likes, as this server answers it. " +
			"It takes who calls, and what is liked, from an environment, which the server has at /postman/environment.json."},
		Auth:     oauth2,
		Variable: []postman.Variable{{Key: "baseUrl", Value: s.origins()[0]}},
		Item:     append(x.Postman(), tokens),
	})
}
