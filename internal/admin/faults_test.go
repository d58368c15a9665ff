package admin_test

import (
	"fmt"
	"testing"

	"liked/internal/admin"
)

// Whatever is listed as a name is one that a rule may have.
func TestFaultNames(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	names := get[admin.FaultNames](t, srv, "GET", "/admin/faults/names", "")
	if len(names.Operations) < 50 || names.Problems["tooManyRequests"] != 429 || len(names.Streams) == 0 || len(names.Disconnects) == 0 {
		t.Fatalf("got %+v", names)
	}
	add := func(match, do string) {
		t.Helper()
		get[admin.FaultAdded](t, srv, "POST", "/admin/faults", fmt.Sprintf(`{"match":{"operation":%q},"do":%s}`, match, do))
	}
	for _, operation := range names.Operations {
		add(operation, `{"status":503}`)
	}
	for problem := range names.Problems {
		add("usersIdLike", fmt.Sprintf(`{"problem":%q}`, problem))
	}
	for i, kind := range names.Disconnects {
		add(names.Streams[i%len(names.Streams)], fmt.Sprintf(`{"disconnect":%q}`, kind))
	}
}
