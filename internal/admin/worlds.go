package admin

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"liked"
)

// Worlds is how a development server goes back to what it was.
type Worlds interface {
	// Reset makes the server what it was when it had started. Conflict if that would lose what a directory keeps.
	Reset(ctx context.Context) error
	// Snapshot keeps what the server is under a name, in place of what had it.
	Snapshot(ctx context.Context, name string) (Snapshot, error)
	Snapshots() []Snapshot
	// Restore makes the server what it was at a snapshot. NotFound if there is no such snapshot.
	Restore(ctx context.Context, name string) (Snapshot, error)
	RemoveSnapshot(name string) error
}

// Snapshot is a moment that the server can be brought back to.
type Snapshot struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"` // by the server's clock
}

// SnapshotList is the snapshots by name.
type SnapshotList struct {
	Snapshots []Snapshot `json:"snapshots"`
}

func (h *Handler) worldRoutes() []route {
	return []route{
		{pattern: "POST /admin/reset", endpoint: gives(h.reset),
			does: "Makes the server what it was when it had started; open streams end. A directory must have been started with --allow-reset."},
		{pattern: "GET /admin/snapshots", endpoint: gives(h.snapshots), does: "Lists the snapshots."},
		{pattern: "PUT /admin/snapshots/{snapshot}", endpoint: of(pathSnapshot, h.takeSnapshot),
			does: "Keeps what the server is, as long as it runs, in place of what had the name."},
		{pattern: "DELETE /admin/snapshots/{snapshot}", endpoint: of(pathSnapshot, h.removeSnapshot), does: "Forgets a snapshot."},
		{pattern: "POST /admin/snapshots/{snapshot}/restore", endpoint: of(pathSnapshot, h.restore),
			does: "Makes the server what it was at a snapshot, its clock included; open streams end."},
	}
}

var snapshotName = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

func pathSnapshot(r *http.Request) (string, error) {
	name := r.PathValue("snapshot")
	if !snapshotName.MatchString(name) {
		return "", liked.Errorf(liked.Invalid, "%q is no name of a snapshot, which is 1 to 64 of a-z, 0-9 and -", name)
	}
	return name, nil
}

func (h *Handler) reset(r *http.Request) (Changed, error) {
	return Changed{true}, h.Dev.Worlds.Reset(context.WithoutCancel(r.Context()))
}

func (h *Handler) snapshots(*http.Request) (SnapshotList, error) {
	return SnapshotList{h.Dev.Worlds.Snapshots()}, nil
}

func (h *Handler) takeSnapshot(r *http.Request, name string) (Snapshot, error) {
	return h.Dev.Worlds.Snapshot(context.WithoutCancel(r.Context()), name)
}

func (h *Handler) removeSnapshot(_ *http.Request, name string) (Changed, error) {
	return Changed{true}, h.Dev.Worlds.RemoveSnapshot(name)
}

func (h *Handler) restore(r *http.Request, name string) (Snapshot, error) {
	return h.Dev.Worlds.Restore(context.WithoutCancel(r.Context()), name)
}

// Reset makes the server what it was when it had started.
func (c *Client) Reset(ctx context.Context) error {
	return c.Call(ctx, "POST", "/admin/reset", nil, nil)
}

func snapshotPath(name string) string { return "/admin/snapshots/" + url.PathEscape(name) }

// Snapshot keeps what the server is.
func (c *Client) Snapshot(ctx context.Context, name string) error {
	return c.Call(ctx, "PUT", snapshotPath(name), nil, nil)
}

// Restore makes the server what it was at a snapshot.
func (c *Client) Restore(ctx context.Context, name string) error {
	return c.Call(ctx, "POST", snapshotPath(name)+"/restore", nil, nil)
}
