package store

import "liked"

// Topic is a part of the store that servers cache.
type Topic uint8

const (
	Principals Topic = iota // what a liked.Principal is made of: a user's state, an app, an ended grant
	Webhooks                // webhooks and subscriptions
)

// Changes tells a server that its cache may be stale. Calls cost nothing.
type Changes interface {
	// Generation differs after each change of the topic: before the changing call returns if this process made it, else
	// within 2 s; also within 2 s of when other servers' changes can no longer be detected. Generation(Webhooks) has
	// changed before LikeLog returns an entry later than the change.
	Generation(topic Topic) uint64

	// PrincipalGeneration is Generation(Principals) for the app, the user and the grant (zero: none). Of this process's
	// changes, only those of one of the three are sure to change it, and others hardly ever do.
	//
	// Data must not be cached under a number newer than its read. A caller that must read to learn the three takes
	// Generation(Principals), reads, takes this number, and caches nothing if Generation(Principals) has changed: a
	// change shows there first.
	PrincipalGeneration(app liked.AppID, user liked.UserID, grant GrantID) uint64

	// SubscriptionGeneration is Generation(Webhooks) for the subscriptions about the user, taken before reading them.
	// Of this process's changes, only those of one of them are sure to change it, and others hardly ever do.
	SubscriptionGeneration(user liked.UserID) uint64
}
