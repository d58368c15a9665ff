package store

import "liked"

// Topic is a part of the store that servers remember.
type Topic uint8

const (
	Principals Topic = iota // what a liked.Principal is made of: a user's state, an app, a grant that ended
	Webhooks                // webhooks and subscriptions
)

// Changes tells a server that what it remembers of the store may be out of date. Asking costs nothing.
type Changes interface {
	// Generation is another number after each change of the topic: before the call of this process that made the change
	// returns, and within 2 s of a change that another server made, or of the moment from which that can no longer be told.
	// Generation(Webhooks) has changed before LikeLog returns an entry that is later than the change.
	Generation(topic Topic) uint64

	// PrincipalGeneration is Generation(Principals) for what is made of the app, the user and the grant (zero: of none): of
	// the changes of this process only those of one of the three are sure to change it, and others hardly ever do.
	//
	// What is read must not be remembered under a number that is newer than it. Who must read first to know the three asks for
	// Generation(Principals), reads, asks for this number, and remembers nothing if the first one is another by then: a change
	// counts in the first before it counts in this one.
	PrincipalGeneration(app liked.AppID, user liked.UserID, grant GrantID) uint64

	// SubscriptionGeneration is Generation(Webhooks) for the subscriptions about the user: of the changes of this process
	// only those of one of them are sure to change it, and others hardly ever do. It is asked for before they are read.
	SubscriptionGeneration(user liked.UserID) uint64
}
