package server

import (
	"strings"
	"sync"

	"liked/internal/home"
	"liked/internal/postman"
	"liked/internal/web"
)

func (s *Server) homeOptions(w *world) home.Options {
	options := home.Options{Store: w.store, Log: w.log, Likes: s.observer.likes[1].Load, NoPage: s.NoHomePage, Observe: s.observer.observe,
		Page:        web.Home{API: "X’s API of " + s.profile.String(), Frame: web.Frame{Console: s.Dev}},
		Collection:  sync.OnceValue(func() []byte { return postman.Collection(w.x.Description(), s.origins()[0]) }),
		Environment: func() []byte { return postman.Environment{"baseUrl": s.origins()[0]}.Encode(false) }}
	if s.credentials == nil {
		return options
	}
	user, post := s.credentials.First()
	if post != nil {
		options.First = post.ID
	}
	known, open := s.credentials.Postman(user), s.openWorld()
	options.Environment = func() []byte { return known.Encode(open) }
	dev := &web.HomeDev{Username: user.Username}
	options.Page.Dev = dev
	if !open {
		return options
	}
	app := s.credentials.Apps[0]
	if s.tls == nil { // curl would need the certificate
		dev.Curl = s.credentials.Curl("")
	}
	var env []string
	for _, v := range s.credentials.Variables(user) {
		env = append(env, v[0]+"="+v[1])
	}
	dev.Env = strings.Join(env, "\n")
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
