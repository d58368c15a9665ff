package server_test

import (
	"testing"

	"liked/internal/server"
)

// A server for users keeps no journal, and cannot be told to.
func TestServeHasNoJournal(t *testing.T) {
	t.Parallel()
	if err := (server.Config{Journal: 1}).Validate(); !says(err, "journal", "development") {
		t.Errorf("a journal: %v", err)
	}
	srv, _ := start(t, server.Config{Seed: world()})
	for _, path := range []string{"/admin/requests", "/admin/requests/live", "/admin/requests/0123456789abcdef"} {
		if status, body := get(t, client(t, nil), srv.AdminURL()+path, srv.AdminToken); status != 404 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	dev, _ := start(t, server.Config{Seed: world(), Dev: true})
	status, body := get(t, client(t, nil), dev.AdminURL()+"/admin/requests", dev.AdminToken)
	if status != 404 || body != `{"error":"the journal is off: start the server without --journal 0"}`+"\n" {
		t.Errorf("a journal that is off: %d %q", status, body)
	}
}
