package store

import (
	"context"
	"time"
)

// Leases let one server at a time do a thing. A server is a process that has opened the store, and holds all its leases
// together.
type Leases interface {
	// Hold takes or renews each name that no other server holds, until ttl from now by the store's clock, and reports
	// which names this server holds. Invalid if ttl is not positive. A server that loses contact with the store holds a
	// name no longer than ttl after the last call that gave it the name.
	Hold(ctx context.Context, names []string, ttl time.Duration) (held []bool, err error)
	// NewID returns an identifier in X's layout (liked.Snowflakes) for something made at the given time. A server's
	// identifiers rise, and no two servers on the store return the same: each holds a server number. One that cannot renew
	// its number makes identifiers of the time when it last could. If a record that came with its own identifier has it
	// already, adding is a Conflict.
	NewID(at time.Time) int64

	// Release gives up those of the names that this server holds.
	Release(ctx context.Context, names []string) error
}
