package oauth_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"liked"
	"liked/internal/auth"
	"liked/internal/oauth"
)

func TestSession(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	page := b.Get(t, "/login")
	guest := page.Cookie("liked_session")
	if guest == nil || !guest.HttpOnly || guest.SameSite != http.SameSiteLaxMode || guest.Secure || guest.Path != "/" || guest.Domain != "" {
		t.Fatalf("cookie %v", guest)
	}
	in := b.Post(t, "/login", with(page.Form(), "username", "ada", "password", password))
	first := in.Cookie("liked_session")
	if in.Status != 303 || first == nil || first.Value == guest.Value || len(first.Value) < 43 || !first.HttpOnly ||
		first.SameSite != http.SameSiteLaxMode {
		t.Fatalf("%d, cookie %v", in.Status, first)
	}
	s.secret(first.Value)
	home := b.Get(t, "/settings/connected_apps")
	if home.Status != 200 || !strings.Contains(home.Body, "@ada") {
		t.Fatalf("%d %s", home.Status, home.Body)
	}
	if r := b.Get(t, "/login"); r.Status != 303 {
		t.Errorf("the sign-in page, signed in: %d", r.Status)
	}
	signedIn := func(cookie string) bool {
		b := s.browser()
		b.Header.Set("Cookie", "liked_session="+cookie)
		return strings.Contains(b.Get(t, "/settings/connected_apps").Body, "@ada")
	}
	if !signedIn(first.Value) || signedIn(guest.Value) || signedIn(strings.Replace(first.Value, "11-", "12-", 1)) || signedIn("11-") ||
		signedIn("11") {
		t.Error("a session is known by its cookie, and by nothing else")
	}

	// Signing in again ends the session before, and a session that somebody else chose never becomes one of ada's.
	again := b.Post(t, "/login", with(home.Form(), "username", "ada", "password", password))
	second := again.Cookie("liked_session")
	if second == nil || second.Value == first.Value || signedIn(first.Value) || !signedIn(second.Value) {
		t.Errorf("signed in again: %d, cookie %v", again.Status, second)
	}
	fixed := s.browser()
	fixed.Header.Set("Cookie", "liked_session=chosenByAnAttacker")
	r := fixed.Post(t, "/login", with(fixed.Get(t, "/login").Form(), "username", "ada", "password", password))
	if c := r.Cookie("liked_session"); r.Status != 303 || c == nil || c.Value == "chosenByAnAttacker" || signedIn("chosenByAnAttacker") {
		t.Errorf("a cookie of somebody else's choice: %d %v", r.Status, c)
	}

	out := b.Post(t, "/logout", b.Get(t, "/settings/connected_apps").Form())
	if c := out.Cookie("liked_session"); out.Status != 303 || out.Location != "/login" || c == nil || c.MaxAge >= 0 || signedIn(second.Value) {
		t.Errorf("sign out: %d %q, cookie %v, signed in %v", out.Status, out.Location, c, signedIn(second.Value))
	}
	if r := b.Get(t, "/developer"); r.Form().Get("return") == "" {
		t.Error("after signing out, a page is shown")
	}
}

func TestSessionEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		end  func(*testing.T, *site)
	}{
		{"30 days", func(t *testing.T, s *site) { s.clock.Add(30 * 24 * time.Hour) }},
		{"new password", func(t *testing.T, s *site) {
			hash, err := s.auth.HashPassword(t.Context(), "another password")
			check(t, err)
			check(t, s.store.SetPassword(t.Context(), s.ada.ID, hash))
		}},
		{"suspended", func(t *testing.T, s *site) {
			check(t, s.store.UpdateUser(t.Context(), s.ada.ID, func(u *liked.User) error { u.State = liked.Suspended; return nil }))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			b := s.browser()
			b.signIn(t, "ada")
			form := b.Get(t, "/settings/connected_apps").Form()
			s.clock.Add(time.Hour)
			if r := b.Get(t, "/settings/connected_apps"); !strings.Contains(r.Body, "@ada") {
				t.Fatal("the session ended too early")
			}
			tt.end(t, s)
			if r := b.Get(t, "/settings/connected_apps"); strings.Contains(r.Body, "@ada") || r.Form().Get("return") == "" {
				t.Error("the session goes on")
			}
			if r := b.Post(t, "/developer", with(form, "name", "x", "type", "public", "access", "read")); r.Status != 403 {
				t.Errorf("its form still counts: %d", r.Status)
			}
		})
	}
}

func TestSecureCookies(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	a := auth.New(auth.Options{Store: s.store, Seal: [32]byte{1, 2, 3}, Now: s.clock.Now, Rand: seeded("https"),
		BaseURL: func(r *http.Request) string { return "https://likes.example" }})
	h := pages(t, s.store, oauth.Options{Auth: a, Store: s.store, Now: s.clock.Now, PublicURL: "https://likes.example",
		BaseURL: func(*http.Request) string { return "https://likes.example" }, Address: func(*http.Request) string { return "" }})
	srv := newServer(t, h)
	b := s.browser()
	b.URL = srv
	page := b.Get(t, "/login")
	c := page.Cookie("__Host-liked_session")
	if c == nil || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || page.Cookie("liked_session") != nil {
		t.Fatalf("cookie %v", c)
	}
	b.Header = http.Header{"Cookie": {"__Host-liked_session=" + c.Value}, "Origin": {"https://likes.example"}}
	r := b.Post(t, "/login", with(page.Form(), "username", "ada", "password", password))
	if c := r.Cookie("__Host-liked_session"); r.Status != 303 || c == nil || !c.Secure || r.Cookie("__Host-liked_device") == nil {
		t.Errorf("%d %v", r.Status, r.Header)
	}
	// The plain name is not believed: somebody on the way could have set it over http.
	b.Client.Jar = nil
	b.Header.Set("Cookie", "liked_session="+r.Cookie("__Host-liked_session").Value)
	if r := b.Get(t, "/settings/connected_apps"); strings.Contains(r.Body, "@ada") {
		t.Error("a cookie without the prefix counts")
	}
	b.Header.Set("Cookie", "__Host-liked_session="+r.Cookie("__Host-liked_session").Value)
	if r := b.Get(t, "/settings/connected_apps"); !strings.Contains(r.Body, "@ada") {
		t.Error("the cookie with the prefix does not count")
	}
}

// Who has an account cannot be found out from the words, nor from the time (TestCheckPasswordTakesAsLong in auth).
func TestNoEnumeration(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	check(t, s.store.AddUser(t.Context(), liked.User{ID: 20, Username: "empty", Name: "Empty", CreatedAt: s.clock.Now()}))
	check(t, s.store.UpdateUser(t.Context(), s.bob.ID, func(u *liked.User) error { u.State = liked.Suspended; return nil }))
	try := func(username, password string) reply {
		b := s.browser()
		return b.Post(t, "/login", with(b.Get(t, "/login").Form(), "username", username, "password", password))
	}
	plain := func(r reply, username string) string { // without what differs from page to page
		body := strings.ReplaceAll(r.Body, `value="`+username+`"`, "")
		return inputs.ReplaceAllString(body, "")
	}
	want := try("ada", "wrong")
	if want.Status != 401 || !strings.Contains(want.Body, "Wrong username or password.") {
		t.Fatalf("%d", want.Status)
	}
	for _, name := range []string{"ada", "nobody", "empty", "bob", "not a name!"} {
		if r := try(name, "wrong"); r.Status != 401 || plain(r, name) != plain(want, "ada") {
			t.Errorf("%s: %d, or another page", name, r.Status)
		}
	}
	if r := try("ada", strings.Repeat("x", 2000)); r.Status != 401 {
		t.Errorf("a very long password: %d", r.Status)
	}
	if r := try("empty", ""); r.Status != 401 {
		t.Errorf("no password at all: %d", r.Status)
	}
	if r := try("bob", password); r.Status != 403 || !strings.Contains(r.Body, "This account is suspended.") ||
		r.Cookie("liked_session") != nil {
		t.Errorf("suspended, with the right password: %d", r.Status)
	}
}

// Guesses are slowed down for the one who guesses. The person whose account it is comes in, from the browser used before.
func TestThrottle(t *testing.T) {
	t.Parallel()
	address := "10.0.0.1"
	s := newSite(t, func(o *oauth.Options) { o.Address = func(*http.Request) string { return address } })
	known := s.browser()
	known.signIn(t, "ada")
	known.Post(t, "/logout", known.Get(t, "/settings/connected_apps").Form())
	guess := func(username, password string) int {
		b := s.browser()
		return b.Post(t, "/login", with(b.Get(t, "/login").Form(), "username", username, "password", password)).Status
	}
	guesses := func(n int, username string, want int) {
		t.Helper()
		for i := range n {
			if got := guess(username, "wrong"); got != want {
				t.Fatalf("guess %d at %s: %d, want %d", i+1, username, got, want)
			}
		}
	}
	for range 25 { // the right password does not use anything up
		if got := guess("bob", password); got != 303 {
			t.Fatalf("signing in often: %d", got)
		}
	}
	guesses(20, "ada", 401)
	guesses(1, "ADA", 429)
	if got := guess("ada", password); got != 429 {
		t.Errorf("the right password after too many wrong ones: %d", got)
	}
	guesses(20, "nobody", 401) // a name that nobody has is no different
	guesses(1, "nobody", 429)
	address = "10.0.0.2"
	if got := guess("ada", password); got != 303 {
		t.Errorf("from elsewhere: %d", got)
	}
	for i := range 4 {
		address = fmt.Sprintf("10.0.1.%d", i)
		guesses(20, "ada", 401)
	}
	address = "10.0.2.1" // the account as a whole: one wrong password from each network
	guesses(1, "ada", 401)
	guesses(1, "ada", 429)
	if got := guess("ada", password); got != 429 {
		t.Errorf("the right password after a wrong one, with the account under attack: %d", got)
	}
	known.signIn(t, "ada")
	known.Post(t, "/logout", known.Get(t, "/settings/connected_apps").Form())
	for i, from := range []string{"10.0.3.1", "2001:db8:5::1", "2001:db8:6:7::1"} { // the owner, on a new device
		address = from
		if got := guess("ada", password); got != 303 {
			t.Errorf("strangers keep the owner out at network %d: %d", i+1, got)
		}
	}
	for i, want := range []int{401, 429, 429} { // a guesser with many addresses of one IPv6 network
		address = fmt.Sprintf("2001:db8:7:%x::1", i)
		if got := guess("ada", "wrong"); got != want {
			t.Errorf("guess %d from addresses of one /48: %d, want %d", i+1, got, want)
		}
	}
	s.clock.Add(15 * time.Minute)
	if got := guess("ada", password); got != 303 {
		t.Errorf("a quarter of an hour later: %d", got)
	}
	// A browser in which one account was used is unknown to another.
	known.Post(t, "/logout", known.Get(t, "/settings/connected_apps").Form())
	for range 21 {
		known.Post(t, "/login", with(known.Get(t, "/login").Form(), "username", "bob", "password", "wrong"))
	}
	if got := guess("bob", password); got != 429 {
		t.Errorf("guesses from a browser that knows another account do not count: %d", got)
	}
	// One household's worth of IPv6 addresses is one address.
	for i := range 21 {
		address = fmt.Sprintf("2001:db8:0:1::%x", i+1)
		guess("ada", "wrong")
	}
	if address = "2001:db8:0:1::ffff"; guess("ada", password) != 429 {
		t.Error("each address of a /64 counts for itself")
	}
	if address = "2001:db8:0:2::1"; guess("ada", password) != 303 {
		t.Error("another /64 is counted too")
	}
}

// Right passwords cost the server as much as wrong ones: whoever has an account cannot keep it busy with them.
func TestRightPasswordsAreThrottled(t *testing.T) {
	t.Parallel()
	tries := 0
	s := newSite(t, func(o *oauth.Options) {
		o.Address = func(*http.Request) string { return fmt.Sprintf("10.0.0.%d", tries) }
	})
	signIn := func(username string) int {
		tries++
		b := s.browser()
		return b.Post(t, "/login", with(b.Get(t, "/login").Form(), "username", username, "password", password)).Status
	}
	for i := range 100 {
		if got := signIn("ada"); got != 303 {
			t.Fatalf("right password %d: %d", i+1, got)
		}
	}
	if got := signIn("ADA"); got != 429 {
		t.Errorf("right password 101: %d, want 429", got)
	}
	if got := signIn("bob"); got != 303 {
		t.Errorf("another account: %d", got)
	}
	s.clock.Add(15 * time.Minute)
	if got := signIn("ada"); got != 303 {
		t.Errorf("a quarter of an hour later: %d", got)
	}
}

// A browser is known by the password that was used in it: a new one makes it a stranger.
func TestDeviceEndsWithPassword(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *oauth.Options) { o.Address = func(*http.Request) string { return "10.0.0.1" } })
	known, stranger := s.browser(), s.browser()
	known.signIn(t, "ada")
	known.Post(t, "/logout", known.Get(t, "/settings/connected_apps").Form())
	try := func(b *browser, password string) int {
		return b.Post(t, "/login", with(b.Get(t, "/login").Form(), "username", "ada", "password", password)).Status
	}
	for range 20 {
		try(stranger, "wrong")
	}
	if got := try(known, "wrong"); got != 401 {
		t.Errorf("a browser that knows the account, after a stranger's guesses: %d, want 401", got)
	}
	hash, err := s.auth.HashPassword(t.Context(), "another password")
	check(t, err)
	check(t, s.store.SetPassword(t.Context(), s.ada.ID, hash))
	if got := try(known, "another password"); got != 429 {
		t.Errorf("the same browser after a new password: %d, want 429, as for a stranger", got)
	}
}

// An attempt counts everywhere or nowhere: those that are refused use nothing up.
func TestRefusedAttemptsDoNotCount(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *oauth.Options) { o.Address = func(*http.Request) string { return "10.0.0.1" } })
	try := func(username, password string) int {
		b := s.browser()
		return b.Post(t, "/login", with(b.Get(t, "/login").Form(), "username", username, "password", password)).Status
	}
	for i := range 250 {
		if got, want := try("ada", "wrong"), 401; i < 20 && got != want || i >= 20 && got != 429 {
			t.Fatalf("guess %d: %d", i+1, got)
		}
	}
	if got := try("bob", password); got != 303 {
		t.Errorf("another account, after 20 wrong passwords and 230 refusals: %d", got)
	}
}

// No page can be framed, run foreign scripts, be kept, or give its address away.
func TestPageHeaders(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	pages := map[string]reply{"sign-in": b.Get(t, "/login"), "fault": b.Get(t, authorizePath), "trouble": b.Post(t, "/login", url.Values{})}
	b.signIn(t, "ada")
	for _, path := range []string{"/settings/connected_apps", "/developer", "/developer/apps/1",
		authorizePath + "?" + s.ask(s.conf).Encode()} {
		pages[path] = b.Get(t, path)
	}
	for name, r := range pages {
		csp := r.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: no %s in %q", name, want, csp)
			}
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(r.Body, "<script") || r.Header.Get("X-Frame-Options") != "DENY" ||
			r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("Referrer-Policy") != "same-origin" ||
			r.Header.Get("X-Content-Type-Options") != "nosniff" || r.Header.Get("Content-Type") != "text/html; charset=utf-8" ||
			r.Header.Get("X-Liked-Explain") != "" {
			t.Errorf("%s: %v", name, r.Header)
		}
	}
	r := b.consent(t, authorizePath+"?"+s.ask(s.conf).Encode(), "allow")
	if r.Header.Get("Referrer-Policy") != "no-referrer" || !strings.Contains(r.Header.Get("Cache-Control"), "no-store") || r.Body != "" {
		t.Errorf("redirect: %v %q", r.Header, r.Body)
	}
}

func TestHashPassword(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	one, err := s.auth.HashPassword(t.Context(), password)
	check(t, err)
	two, err := s.auth.HashPassword(t.Context(), password)
	check(t, err)
	if one == two || !strings.HasPrefix(one, "$argon2id$v=19$m=19456,t=2,p=1$") || strings.Contains(one, password) {
		t.Errorf("%s, %s", one, two)
	}
	for _, bad := range []string{"", "1234567", "1234567\xff", strings.Repeat("x", 1025)} {
		if _, err := s.auth.HashPassword(t.Context(), bad); err == nil || liked.KindOf(err) != liked.Invalid || bad != "" &&
			strings.Contains(err.Error(), bad) {
			t.Errorf("%.10q: %v", bad, err)
		}
	}
	check(t, s.store.SetPassword(t.Context(), s.bob.ID, one))
	s.browser().signIn(t, "bob")
	// One that is broken is our fault.
	check(t, s.store.SetPassword(t.Context(), s.ada.ID, "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$"+"AAAA"))
	b := s.browser()
	if r := b.Post(t, "/login", with(b.Get(t, "/login").Form(), "username", "ada", "password", password)); r.Status != 500 {
		t.Errorf("a broken hash: %d", r.Status)
	}
	if x := s.last(); x.Err == nil {
		t.Error("the cause is not logged")
	}
}
