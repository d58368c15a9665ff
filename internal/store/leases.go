package store

import (
	"context"
	"time"
)

// Leases settle which server does what only one may do at a time. A server is a process that has opened the store: all
// that it holds it holds together.
type Leases interface {
	// Hold takes each name that no other server holds, or takes it anew if this one does, until ttl from now by the clock of
	// the store, and says for each of the names whether this server holds it. Invalid if ttl is not positive. A server that
	// has lost touch with the store holds a name no longer than ttl after the call in which it last got it.
	Hold(ctx context.Context, names []string, ttl time.Duration) (held []bool, err error)
	// NewID returns an identifier in X's layout (liked.Snowflakes) for something that was made at the time given. This server
	// gives it once, in rising order, and no other server on the store gives it: servers have numbers, which they hold.
	// That it is taken nevertheless, by something that came with its identifier, is Conflict where it is added.
	NewID(at time.Time) int64

	// Release lets go of those of the names that this server holds.
	Release(ctx context.Context, names []string) error
}
