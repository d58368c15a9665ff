package auth_test

import (
	"fmt"
	"liked/internal/authtest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"liked"
	"liked/internal/store/pebblestore"
)

func TestOAuth1Clock(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		off     time.Duration // of the client's clock
		refused string
	}{
		{"300 s behind", -300 * time.Second, ""},
		{"301 s behind", -301 * time.Second, "oauth_timestamp 1318622657 is 301 s behind the server's clock; at most 300 s are allowed"},
		{"300 s ahead", 300 * time.Second, ""},
		{"301 s ahead", 301 * time.Second, "oauth_timestamp 1318623259 is 301 s ahead of the server's clock; at most 300 s are allowed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			client := docsClient()
			client.Timestamp = fmt.Sprint(w.clock.Now().Add(c.off).Unix())
			v := w.do(t, client.Request(t, "GET", w.url+"/2/users/me"))
			if c.refused != "" {
				wantRefused(t, v, c.refused)
			} else {
				wantOK(t, v)
			}
		})
	}
}

func TestOAuth1Replay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	again := func(after time.Duration, client authtest.Client) verdict {
		w.clock.Set(time.Unix(docsTime, 0).Add(after))
		return w.do(t, client.Request(t, "GET", w.url+"/2/users/me"))
	}
	client := docsClient()
	client.Timestamp = fmt.Sprint(docsTime + 300) // the longest that a request can stay good: 600 s
	wantOK(t, again(0, client))
	wantRefused(t, again(0, client), "oauth_nonce was used before")
	wantRefused(t, again(600*time.Second+999*time.Millisecond, client), "oauth_nonce was used before")
	wantRefused(t, again(601*time.Second, client), "301 s behind")
	wantRefused(t, again(600*time.Second, client), "oauth_nonce was used before") // the clock was set back

	other := client
	other.Nonce = "other"
	wantOK(t, again(600*time.Second, other))
	later := client
	later.Timestamp = fmt.Sprint(docsTime + 301)
	wantOK(t, again(600*time.Second, later))

	// The same nonce and timestamp of another token are another request.
	token, secret, err := w.auth.IssueOAuth1Token(t.Context(), 1, w.user, liked.ReadOnly)
	check(t, err)
	second := client
	second.Token, second.TokenSecret = token, secret
	v := again(600*time.Second, second)
	wantOK(t, v)
	if v.Principal.Access != liked.ReadOnly {
		t.Errorf("got access %s, want that of the token, read", v.Principal.Access)
	}
}

func TestOAuth1ReplayAfterRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fs := vfs.NewMem()
	open := func() *pebblestore.Store {
		s, err := pebblestore.Open(pebblestore.Options{Dir: "data", FS: fs})
		check(t, err)
		return s
	}
	first := open()
	w.auth = newAuth(t, first, w.clock)
	check(t, first.AddUser(t.Context(), liked.User{ID: docsUser, Username: "ada", Name: "Ada", CreatedAt: w.clock.Now()}))
	check(t, w.auth.AddApp(t.Context(), liked.App{ID: 1, Name: "docs", CreatedAt: w.clock.Now(), ClientID: "docs", APIKey: docsKey},
		docsSecret))
	check(t, w.auth.AddOAuth1Token(t.Context(), 1, docsUser, docsToken, docsTokenSecret))
	client := docsClient()
	wantOK(t, w.do(t, client.Request(t, "GET", w.url+"/2/users/me")))
	check(t, first.Close())

	for _, after := range []time.Duration{0, 300 * time.Second} {
		w.clock.Set(time.Unix(docsTime, 0).Add(after))
		s := open()
		w.auth = newAuth(t, s, w.clock)
		wantRefused(t, w.do(t, client.Request(t, "GET", w.url+"/2/users/me")), "oauth_nonce was used before")
		client.Nonce += "x"
		wantOK(t, w.do(t, client.Request(t, "GET", w.url+"/2/users/me")))
		check(t, s.Close())
	}
}

func TestOAuth1ConcurrentReplay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	header := docsClient().Header(t, "GET", w.url+"/2/users/me", "")
	verdicts := make([]verdict, 20)
	var wg sync.WaitGroup
	for i := range verdicts {
		wg.Go(func() { verdicts[i] = w.get(t, header) })
	}
	wg.Wait()
	var in int
	for _, v := range verdicts {
		if v.Reason == "" {
			in++
		} else {
			wantRefused(t, v, "oauth_nonce was used before")
		}
	}
	if in != 1 {
		t.Errorf("got %d of one request let in, want 1", in)
	}
}

// Without a token, too, nonces are of the app: another one may come upon the same.
func TestOAuth1NoncesAreOfTheApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target := w.url + "/oauth/request_token"
	for _, key := range [][2]string{{docsKey, docsSecret}, {w.app.APIKey, w.app1.APISecret}} {
		client := docsClient()
		client.Key, client.Secret, client.Token, client.TokenSecret = key[0], key[1], "", ""
		send := func() error {
			r := newRequest(t, "POST", target, "")
			r.Host = r.URL.Host
			r.Header.Set("Authorization", client.Header(t, "POST", target, ""))
			_, err := w.auth.Signed(r)
			return err
		}
		check(t, send())
		if err := send(); err == nil || !strings.Contains(err.Error(), "oauth_nonce was used before") {
			t.Errorf("the app with the key %s, again: %v", key[0], err)
		}
	}
}

func TestOAuth1ForgeryDoesNotUseUpNonce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	forger := docsClient()
	forger.TokenSecret = "guess"
	wantRefused(t, w.do(t, forger.Request(t, "GET", w.url+"/2/users/me")), "does not match")
	wantOK(t, w.do(t, docsClient().Request(t, "GET", w.url+"/2/users/me")))
}
