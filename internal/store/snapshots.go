package store

import "context"

// Snapshots is of engines that keep their state, and bring it back, within milliseconds whatever its size.
type Snapshots interface {
	// Snapshot keeps the store as it is at one moment, with all that was acknowledged before the call, rate windows and
	// nonces included. Invalid if the store cannot be written.
	Snapshot(ctx context.Context) (Snapshot, error)
}

// Snapshot is the state of a store at one moment. It lasts as long as the process, at most.
type Snapshot interface {
	// Open opens a store with this state, as often as is wanted, with the options of the one that was copied. In memory it
	// stands beside all others. In a directory it takes the place of what is there for good, even if the process is killed
	// meanwhile; the store there must be closed before.
	Open() (Store, error)

	// Remove forgets it. Stores that were opened stay as they are.
	Remove() error
}
