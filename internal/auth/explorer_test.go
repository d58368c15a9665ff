package auth_test

import (
	"sync"
	"testing"
	"time"

	"liked/internal/auth"
	"liked/internal/authtest"
)

// Servers that start at once on a new store agree on the explorer's app.
func TestExplorerAppOfManyServers(t *testing.T) {
	t.Parallel()
	a := newAuth(t, newStore(t), authtest.NewClock(time.Unix(docsTime, 0)))
	var ids [8]string
	var starting sync.WaitGroup
	for i := range ids {
		starting.Go(func() {
			app, err := a.UseExplorerApp(t.Context(), []string{"https://likes.example.com/explorer"})
			if err != nil || app.ID != auth.ExplorerApp {
				t.Errorf("got app %v, %v", app.ID, err)
			}
			ids[i] = app.ClientID
		})
	}
	starting.Wait()
	for _, id := range ids {
		if id != ids[0] || id == "" {
			t.Errorf("got client ids %q", ids)
		}
	}
}
