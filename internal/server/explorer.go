package server

import (
	"context"
	"net"
	"net/url"
	"strconv"

	"liked/internal/web"
)

// ExplorerURL is where the API explorer is. In a seeded world the address signs one in: its fragment, which browsers do
// not send, holds a token, unless the page itself may say one.
func (s *Server) ExplorerURL() string {
	address := s.origins()[0] + "/explorer"
	if s.credentials != nil && !s.openWorld() {
		user, _ := s.credentials.First()
		address += "#access_token=" + user.AccessToken
	}
	return address
}

// explorer is what the API explorer starts with.
func (s *Server) explorer(ctx context.Context) (p web.Explorer, err error) {
	p.Origins = s.origins()
	redirects := make([]string, len(p.Origins))
	for i, origin := range p.Origins {
		redirects[i] = origin + "/explorer"
	}
	app, err := s.auth.UseExplorerApp(ctx, redirects)
	if err != nil {
		return p, err
	}
	p.ClientID = app.ClientID
	if s.credentials == nil {
		return p, nil
	}
	user, post := s.credentials.First()
	p.UserID = user.ID.String()
	if post != nil {
		p.PostID = post.ID.String()
	}
	if s.openWorld() {
		p.Token = user.AccessToken
	}
	return p, nil
}

// openWorld reports whether the tokens that the world starts with are no secret to anybody who can use them: a known seed
// made them, only this machine can connect, and the end of the server is theirs.
func (s *Server) openWorld() bool {
	return s.World != nil && s.World.Seed != 0 && s.Data == "" && Loopback(s.apiL.Addr().String())
}

// origins are the addresses, as "scheme://host[:port]", under which browsers are known to reach the server, the best
// first. Sign-in from the explorer works at these alone: redirect URIs are matched exactly.
func (s *Server) origins() []string {
	if s.publicURL != "" {
		return []string{s.publicURL}
	}
	origins := []string{s.URL()}
	if addr := s.apiL.Addr().(*net.TCPAddr); addr.IP.IsLoopback() || addr.IP.IsUnspecified() {
		local := url.URL{Scheme: "http", Host: net.JoinHostPort("localhost", strconv.Itoa(addr.Port))}
		if s.tls != nil {
			local.Scheme = "https"
		}
		origins = append(origins, local.String())
	}
	return origins
}
