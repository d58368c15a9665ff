package store

import (
	"context"
	"time"
)

// Leases let one server at a time do a thing. A server is a process that has opened the store, and holds its leases as one.
type Leases interface {
	// Hold takes or renews, until ttl from now by the store's clock, each name that no other server holds, and reports
	// for each whether this server holds it. Invalid if ttl is not positive. A server that loses the store holds a name
	// no longer than ttl after its last successful call.
	Hold(ctx context.Context, names []string, ttl time.Duration) (held []bool, err error)
	// NewID returns an identifier in X's layout (liked.Snowflakes) for something made at the given time. This server's
	// identifiers rise, and no other server on the store returns the same: each holds a server number. If a record that
	// came with its own identifier has taken it, adding is a Conflict.
	NewID(at time.Time) int64

	// Release releases those of the names that this server holds.
	Release(ctx context.Context, names []string) error
}
