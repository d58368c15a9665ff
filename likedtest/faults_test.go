package likedtest_test

import (
	"strings"
	"testing"

	"liked/likedtest"
)

// A rule with a mistake is refused in the server's words, also where it is no JSON.
func TestFaultRefused(t *testing.T) {
	t.Parallel()
	srv := likedtest.New(t)
	for rule, want := range map[string]string{
		`{"match":{},"do":{"close":"never"}}`: `likedtest: do: close is "before" or "after"`,
		`{"match":{},"dos":{"status":503}}`:   `likedtest: body: unknown member "dos"`,
		`{"match":{},"do":{"status":503}`:     `likedtest: body: `,
		``:                                    `likedtest: body: `,
	} {
		if got := printed(t, func(failing testing.TB) { srv.Fault(failing, rule) }); !strings.HasPrefix(got, want) {
			t.Errorf("%s: failed with %q, want %q", rule, got, want)
		}
	}
}

func TestFaultAndLimits(t *testing.T) {
	t.Parallel()
	srv := likedtest.New(t, likedtest.RateLimits(`{"usersIdLike":{"user_15m":2,"user_24h":0}}`))
	srv.Fault(t, `{"match":{"operation":"usersIdLike","user":"alice"},"when":{"times":1},"do":{"status":503}}`)
	got := [5]int{}
	for i := range 3 {
		got[i], _, _ = like(t, srv, "alice", 0)
	}
	of := likedtest.Callers{User: "alice", Operation: "usersIdLike"}
	if w := srv.Limits(t, of); len(w) != 1 || w[0].Limit != 2 || w[0].Remaining != 0 || w[0].User != srv.Users["alice"].ID {
		t.Errorf("the windows are %+v", w)
	}
	public := likedtest.Callers{User: "alice", App: srv.Apps[1].Name}
	srv.ResetLimits(t, public)
	if w := srv.Limits(t, public); len(w) != 0 {
		t.Errorf("the windows of an app that was not used are %+v", w)
	}
	of.App = srv.Apps[0].ClientID
	if w := srv.Limits(t, of); len(w) != 1 || w[0].Remaining != 0 || w[0].App.String() != appID(t, srv) {
		t.Errorf("the windows of the app are %+v", w)
	}
	srv.ResetLimits(t, of)
	got[3], _, _ = like(t, srv, "alice", 0)
	srv.Fault(t, `{"match":{},"do":{"status":500}}`)
	srv.ClearFaults(t)
	got[4], _, _ = like(t, srv, "alice", 0)
	if want := [5]int{503, 200, 429, 200, 200}; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
