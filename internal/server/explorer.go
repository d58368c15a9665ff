package server

import (
	"context"
	"fmt"
	"net"
	"strings"

	"liked"
	"liked/internal/auth"
	"liked/internal/web"
)

// ExplorerURL is the API explorer's URL. With seed data its fragment, which browsers do not send, holds a token, unless
// whoever loads the page has one by way of the console.
func (s *Server) ExplorerURL() string {
	address := s.origins()[0] + "/explorer"
	if s.credentials != nil && !s.openWorld() {
		user, _ := s.credentials.First()
		address += "#access_token=" + user.AccessToken
	}
	return address
}

func (s *Server) explorerStart(ctx context.Context, w *world) (p web.Explorer, err error) {
	p.Origins = s.origins()
	severalAddresses := s.Postgres != "" && s.publicURL == "" // one for each of the database's servers
	if severalAddresses && s.Seed == nil {
		s.Logger.Info("without a public URL the API explorer has no sign-in: people paste a token there")
		return p, nil
	}
	var redirects []string
	for _, origin := range p.Origins {
		redirects = append(redirects, origin+"/explorer")
	}
	app, err := w.auth.UseExplorerApp(ctx, redirects, severalAddresses)
	if err != nil {
		return p, err
	}
	p.ClientID = app.ClientID
	if s.credentials == nil {
		return p, nil
	}
	user, post := s.credentials.First()
	p.UserID, p.UserName = user.ID.String(), user.Username
	if !s.privateLikes {
		p.Partition = liked.PartitionOf(user.ID) + 1
	}
	if post != nil {
		p.PostID = post.ID.String()
	}
	return p, nil
}

// openWorld reports whether the seed data's tokens may be public: a known seed made them, only this machine can
// connect, and they end with the server.
func (s *Server) openWorld() bool {
	return s.Seed != nil && s.Seed.Seed != 0 && !s.kept() && !s.Exposed() && Loopback(s.apiL.Addr().String())
}

// origins are the server's addresses as browsers write them, "scheme://host[:port]", the best first. The explorer signs
// in only at these: redirect URIs are matched exactly.
func (s *Server) origins() []string {
	origins := []string{s.publicURL}
	if s.publicURL == "" {
		origins[0] = s.URL()
		if addr := s.apiL.Addr().(*net.TCPAddr); addr.IP.IsLoopback() || addr.IP.IsUnspecified() {
			scheme, _, _ := strings.Cut(s.URL(), "://")
			origins = append(origins, fmt.Sprintf("%s://localhost:%d", scheme, addr.Port))
		}
	}
	for i, origin := range origins {
		origins[i] = auth.NormalOrigin(origin)
	}
	return origins
}
