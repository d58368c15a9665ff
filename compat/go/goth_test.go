package compat

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"os"
	"testing"

	"github.com/markbates/goth/providers/twitterv2"
)

// goth has X's hosts written into it, and demands a picture of who signs in.
func TestGoth(t *testing.T) {
	w := readWorld(t)
	pem, err := os.ReadFile(env(t, "LIKED_CA"))
	if err != nil {
		t.Fatal(err)
	}
	ca := x509.NewCertPool()
	if !ca.AppendCertsFromPEM(pem) {
		t.Fatalf("no certificate in %s", pem)
	}
	proxy := &url.URL{Scheme: "http", Host: "127.0.0.1:" + env(t, "LIKED_PROXY_PORT")}
	direct := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = direct })
	http.DefaultTransport = &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: ca}}

	app := w.Apps[0]
	provider := twitterv2.New(app.APIKey, app.APISecret, app.RedirectURIs[0])
	session, err := provider.BeginAuth("state")
	if err != nil {
		t.Fatal(err)
	}
	link, err := session.GetAuthURL()
	if err != nil {
		t.Fatal(err)
	}
	p := w.person(t)
	p.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host == "api.twitter.com" {
			return nil
		}
		return http.ErrUseLastResponse
	}
	back := p.consents(t, link, "carol")
	if _, err := session.Authorize(provider, back.Query()); err != nil {
		t.Fatal(err)
	}
	user, err := provider.FetchUser(session)
	if err != nil {
		t.Fatal(err)
	}
	carol := w.named(t, "carol")
	const picture = "https://abs.twimg.com/sticky/default_profile_images/default_profile_normal.png"
	if user.NickName != "carol" || user.UserID != carol.ID || user.AvatarURL != picture {
		t.Errorf("got %q %q %q, want carol %q %q", user.NickName, user.UserID, user.AvatarURL, carol.ID, picture)
	}
	did(t, "github.com/markbates/goth", "OAuth 1.0a")
}
