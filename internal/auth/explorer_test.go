package auth_test

import (
	"fmt"
	"slices"
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
			app, err := a.UseExplorerApp(t.Context(), []string{"https://likes.example.com/explorer"}, false)
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

// Servers without one address for all keep their redirect URIs beside each other's, the latest ones.
func TestExplorerAppBesideOthers(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	a := newAuth(t, st, authtest.NewClock(time.Unix(docsTime, 0)))
	own := func(n int) []string {
		return []string{fmt.Sprintf("http://127.0.0.1:%d/explorer", n), fmt.Sprintf("http://localhost:%d/explorer", n)}
	}
	for _, n := range []int{1, 2, 3, 4, 1, 5, 6} {
		if _, err := a.UseExplorerApp(t.Context(), own(n), true); err != nil {
			t.Fatal(err)
		}
	}
	app, err := st.App(t.Context(), auth.ExplorerApp)
	if want := slices.Concat(own(3), own(4), own(1), own(5), own(6)); err != nil || !slices.Equal(app.RedirectURIs, want) {
		t.Errorf("got %q, %v, want %q", app.RedirectURIs, err, want)
	}
	if _, err := a.UseExplorerApp(t.Context(), own(7), false); err != nil {
		t.Fatal(err)
	}
	if app, err = st.App(t.Context(), auth.ExplorerApp); err != nil || !slices.Equal(app.RedirectURIs, own(7)) {
		t.Errorf("got %q, %v, want one server's alone", app.RedirectURIs, err)
	}
}
