// Package store is the contract between the server and whatever keeps its data: interfaces and types, no code.
// Read [Store] first, then [Likes]. Package storetest holds every engine to all of it.
package store

import (
	"context"
	"time"

	"liked"
)

// Store keeps everything that must outlive a request. Each method is one atomic step: it happens whole or not at all,
// a nil error means that it survives a crash, and concurrent calls behave as if run one at a time. What a read shows
// survives a crash, too. Conflicts between calls are settled inside the engine and never returned.
//
// Errors are *liked.Error. Every method may return Unavailable (the store is closed, or its disk refuses writes) and
// the error of ctx; after either, a write may or may not have happened. Values passed in are not kept or changed, and
// values returned belong to the caller.
type Store interface {
	Likes
	Accounts
	Grants
	Traces
	Transfer

	// Check reads the whole store and proves that it agrees with itself: who likes what, both lists, the counts and
	// the log. It sees one moment, while calls go on. It returns an error only if it could not read.
	Check(ctx context.Context) (Report, error)

	// Close waits for calls under way, then releases everything. Calls made later return Unavailable.
	Close() error
}

// Report is what Check found.
type Report struct {
	Users, Posts, Likes, LogEntries int64
	Problems                        []string // each names the keys that disagree; at most 100
}

// Likes is who likes what, and the log of its changes.
type Likes interface {
	// SetLike makes the like be on or off and reports whether that changed anything. A change appends exactly one
	// entry to the like log in the same step. A like of a repost is a like of its original.
	//
	// Turning a like on: NotFound if the post, its original or its author is gone or hidden; Forbidden if its author
	// blocked the user, or is protected and not followed by the user. Turning one off never fails for such reasons:
	// it changes nothing where there was nothing.
	SetLike(ctx context.Context, user liked.UserID, post liked.PostID, on bool, at time.Time) (changed bool, err error)

	// LikedPosts returns posts that the user likes, newest like first, leaving out those that the viewer may not see.
	// A page may therefore be shorter than max, or empty, and still have a next. A zero next ends the list.
	LikedPosts(ctx context.Context, viewer, user liked.UserID, after Cursor, max int) (posts []liked.Post, next Cursor, err error)

	// LikingUsers returns users who like the post, newest like first, leaving out those hidden from the viewer. Pages
	// are as in LikedPosts.
	LikingUsers(ctx context.Context, viewer liked.UserID, post liked.PostID, after Cursor, max int) (users []liked.User, next Cursor, err error)

	// Liked says which of the posts the user likes, in the order of posts.
	Liked(ctx context.Context, user liked.UserID, posts []liked.PostID) ([]bool, error)

	// LikeLog returns entries of a partition (0 to liked.Partitions-1) after the position, oldest first, waiting until
	// there is one or ctx is done. Once an entry has been returned, no entry before it ever appears in the same
	// partition. Entries are kept for a time that the engine is told when it is opened.
	LikeLog(ctx context.Context, partition int, after liked.Seq, max int) ([]liked.LikeEvent, error)
}

// Cursor is a place in a list of likes: the walk goes on with likes older than it. Zero starts at the newest. A walk
// neither skips nor repeats a like because of what is written during it: a like taken back and set again is a new
// like, and stands at the top.
type Cursor liked.Seq

// Accounts is users, their posts, and what stands between them.
type Accounts interface {
	// AddUser adds the user. Conflict if the id or the username (whatever its case) is taken, Invalid if a field is.
	AddUser(ctx context.Context, u liked.User) error
	// UpdateUser replaces the user by what change makes of it. The id cannot change. An error of change is returned as
	// it is and nothing happens. Conflict and Invalid are as in AddUser. change must not call the store and may run twice.
	UpdateUser(ctx context.Context, id liked.UserID, change func(*liked.User) error) error
	User(ctx context.Context, id liked.UserID) (liked.User, error)
	UserByUsername(ctx context.Context, username string) (liked.User, error)
	// Users returns up to max users with an id above after, in order of id.
	Users(ctx context.Context, after liked.UserID, max int) ([]liked.User, error)

	// AddPost adds the post. Conflict if the id is taken, NotFound if the author or a post it refers to does not exist.
	AddPost(ctx context.Context, p liked.Post) error
	// Post returns the post as the viewer sees it; viewer zero is a caller without a user. NotFound if the post is gone
	// or its author hidden; Forbidden if the author blocked the viewer, or is protected and not followed by the viewer.
	Post(ctx context.Context, viewer liked.UserID, id liked.PostID) (liked.Post, error)
	// DeletePost removes the post for good. NotFound if it is not there, Forbidden if by is neither its author nor zero
	// (the operator). Likes of it can no longer be set, and leave every list.
	DeletePost(ctx context.Context, by liked.UserID, id liked.PostID) error

	// SetFollow and SetBlock make the relation be on or off and report whether that changed anything. NotFound if either
	// user does not exist, Invalid for a relation to oneself. A block ends the follows between the two, both ways.
	SetFollow(ctx context.Context, follower, followed liked.UserID, on bool) (changed bool, err error)
	SetBlock(ctx context.Context, blocker, blocked liked.UserID, on bool) (changed bool, err error)
}

// Traces is small state that every request leaves behind: rate windows and nonces. Keeping it costs the request no
// disk access of its own: the Keep calls return at once, and what they keep is durable when any later write to the
// store has returned, and within a second in any case.
type Traces interface {
	// KeepWindow replaces what is kept under the window's key. A window that has ended is forgotten.
	KeepWindow(w RateWindow)
	// KeepNonce remembers a nonce (the hash of the nonce and all that it is unique within) until the time given.
	KeepNonce(nonce Hash, until time.Time)
	// LoadTraces calls back with all windows and nonces that end after now. It is for start-up.
	LoadTraces(ctx context.Context, now time.Time, window func(RateWindow), nonce func(Hash, time.Time)) error
}

// RateWindow is one fixed rate-limit window of one caller on one endpoint.
type RateWindow struct {
	Operation string // operationId of the endpoint, at most 255 bytes
	App       liked.AppID
	User      liked.UserID  // zero: the window of the app as a whole
	Length    time.Duration // whole seconds
	Opened    time.Time
	Count     int
}
