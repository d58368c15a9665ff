package server

import (
	"net/http"

	"liked/internal/home"
	"liked/internal/web"
)

// homeOptions is what the page at / and the files for Postman are made from.
func (s *Server) homeOptions(next http.Handler, o *observer) home.Options {
	options := home.Options{Store: s.store, Next: next, Likes: o.likes[1].Load, NoPage: s.NoHomePage, Observe: o.observe,
		Page: web.Home{API: "X’s API of " + s.profile.String()}}
	if s.credentials == nil {
		return options
	}
	user, _ := s.credentials.First()
	dev := &web.HomeDev{Username: user.Username}
	options.Page.Dev = dev
	if !s.openWorld() {
		return options
	}
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
