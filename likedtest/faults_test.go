package likedtest_test

import (
	"testing"

	"liked/likedtest"
)

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
	srv.ResetLimits(t, of)
	got[3], _, _ = like(t, srv, "alice", 0)
	srv.Fault(t, `{"match":{},"do":{"status":500}}`)
	srv.ClearFaults(t)
	got[4], _, _ = like(t, srv, "alice", 0)
	if want := [5]int{503, 200, 429, 200, 200}; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
