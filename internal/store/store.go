// Package store is the contract between the server and whatever keeps its data: interfaces and types, no code.
// [Store] is what an engine implements; a package that uses one states which of the small interfaces it takes. Read
// [Likes] first. Package storetest holds every engine to all of it.
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
// Texts are UTF-8 without NUL, and as long as their types say; where these say nothing, as long as the caller likes. A
// record with another text is Invalid to every method that takes it. A look-up by such a text finds nothing.
//
// Methods that spend something (RedeemCode, RotateRefreshToken, RedeemRequestToken) are the single-use gates: of any
// number of concurrent calls with one hash, one succeeds. Callers check everything else (client, redirect URI,
// verifier, expiry) before they call, so that a wrong guess spends nothing.
//
// Errors are *liked.Error. Every method may return Unavailable (the store is closed, or its disk refuses writes) and
// the error of ctx; after either, a write may or may not have happened. Values passed in are not kept or changed, and
// values returned belong to the caller.
type Store interface {
	Likes
	Log
	Users
	Posts
	Relations
	Apps
	Passwords
	Codes
	Grants
	RequestTokens
	Sessions
	SealKeys
	Limits
	Hooks
	Subscriptions
	Deliveries
	Transfer
	Changes
	Leases

	// Sweep removes codes, tokens, request tokens and sessions that expired before now, and what is left of revoked grants.
	Sweep(ctx context.Context, now time.Time) error

	// Totals counts what there is. It is exact, and costs next to nothing but for the first call after the store was
	// opened, which may read everything about every user while other calls go on.
	Totals(ctx context.Context) (Totals, error)

	// Check reads the whole store and proves that it agrees with itself: who likes what, both lists, the counts and
	// the log. It sees one moment, while calls go on. It returns an error only if it could not read.
	Check(ctx context.Context) (Report, error)

	// Close waits for calls under way, then releases everything. Calls made later return Unavailable.
	Close() error
}

// Totals is how much there is of everything. Deleted posts do not count, likes of them do until they are taken back.
type Totals struct{ Users, Posts, Likes int64 }

// Report is what Check found.
type Report struct {
	Users, Posts, Likes, LogEntries int64
	Problems                        []string // each names the keys that disagree; at most 100
}

// Likes is who likes what.
type Likes interface {
	// SetLike makes the like be on or off and reports whether that changed anything. A change appends exactly one
	// entry to the like log in the same step. A like of a repost is a like of its original.
	//
	// Turning a like on: NotFound if the post, its original or its author is gone or hidden; Forbidden if its author
	// blocked the user, or is protected and not followed by the user. Turning one off never fails for such reasons:
	// it changes nothing where there was nothing.
	SetLike(ctx context.Context, user liked.UserID, post liked.PostID, on bool, at time.Time) (changed bool, err error)

	// LikedPosts returns a page of the posts that the user likes, leaving out those that Post would refuse the viewer.
	// NotFound if the user is gone or hidden; Forbidden if the user blocked the viewer, or is protected and not followed
	// by the viewer. Invalid if max is below 1.
	LikedPosts(ctx context.Context, viewer, user liked.UserID, from Cursor, max int) (Page[liked.Post], error)

	// LikingUsers returns a page of the users who like the post (of a repost: its original), leaving out those who are
	// hidden, blocked the viewer, or are protected and not followed by the viewer. Errors are those of Post, of the
	// repost and of its original. Invalid if max is below 1.
	LikingUsers(ctx context.Context, viewer liked.UserID, post liked.PostID, from Cursor, max int) (Page[liked.User], error)

	// Liked says which of the posts the user likes, in the order of posts.
	Liked(ctx context.Context, user liked.UserID, posts []liked.PostID) ([]bool, error)
}

// Log is the log of what changes in Likes.
type Log interface {
	// LikeLog returns entries of a partition (0 to liked.Partitions-1) after the position, oldest first, waiting until
	// there is one or ctx is done. Once an entry has been returned, no entry before it ever appears in the same
	// partition. Entries are kept for a time that the engine is told when it is opened.
	LikeLog(ctx context.Context, partition int, after liked.Seq, max int) ([]liked.LikeEvent, error)
	// LogEnds returns the position of each partition's newest entry, zero where there is none: whatever is appended later
	// stands after it, and LikeLog from any earlier position need not wait.
	LogEnds(ctx context.Context) (liked.Positions, error)
}

// Cursor is a place in a list of likes, and the way to go on from there: to the likes below Seq, which are older, or
// to Seq and those above it. Zero starts at the newest. It is good for any page size, and after a restart. A walk one
// way neither skips nor repeats a like because of what is written during it: a like taken back and set again is a new
// like, and stands at the top.
type Cursor struct {
	Seq   liked.Seq
	Newer bool
}

// Page is a part of a list of likes: at most as many items as were asked for, and as many if the list has them in that
// direction, unless some were left out: then it may be shorter, or empty, and not be the last. Whichever way the
// walk goes, the newest like comes first, and the page holds those likes that are nearest to where it started.
// What it costs depends on its size, not on the length of the list nor on its place in it.
type Page[T any] struct {
	Items []T
	Older Cursor // goes on with what is older than the page; zero: there is nothing, whether or not the viewer may see it
	Newer Cursor // goes on with what is newer; zero: there is nothing, or the page started at the newest
}

// Users is those who like and post.
type Users interface {
	// AddUser adds the user. Conflict if the id or the username (whatever its case) is taken, Invalid if a field is.
	AddUser(ctx context.Context, u liked.User) error
	// UpdateUser replaces the user by what change makes of it. The id cannot change. An error of change is returned as
	// it is and nothing happens. Conflict and Invalid are as in AddUser. change must not call the store and may run twice.
	UpdateUser(ctx context.Context, id liked.UserID, change func(*liked.User) error) error
	User(ctx context.Context, id liked.UserID) (liked.User, error)
	UserByUsername(ctx context.Context, username string) (liked.User, error)
	// UsersByID and UsersByUsername return those of the users who exist, hidden ones too, each as often and in the order
	// in which they are asked for.
	UsersByID(ctx context.Context, ids []liked.UserID) ([]liked.User, error)
	UsersByUsername(ctx context.Context, usernames []string) ([]liked.User, error)
	// Users returns up to max users with an id above after, in order of id.
	Users(ctx context.Context, after liked.UserID, max int) ([]liked.User, error)
}

// Posts is what can be liked.
type Posts interface {
	// AddPost adds the post. Conflict if the id is taken, NotFound if the author or a post it refers to does not exist.
	AddPost(ctx context.Context, p liked.Post) error
	// Publish is AddPost by the author, who is held to what an author may do. NotFound also if the author may not see a
	// post that this one answers or quotes: the error names that post as p does, the answered one if it is both. Forbidden
	// if the author's 20 newest posts hold one of the last 24 hours that says the same in the same place. An answer to a
	// repost, and its quote, is one of its original.
	Publish(ctx context.Context, p liked.Post) error
	// Post returns the post as the viewer sees it; viewer zero is a caller without a user. NotFound if the post is gone
	// or its author hidden; Forbidden if the author blocked the viewer, or is protected and not followed by the viewer.
	Post(ctx context.Context, viewer liked.UserID, id liked.PostID) (liked.Post, error)
	// Posts answers for each of the ids, in their order, what Post would.
	Posts(ctx context.Context, viewer liked.UserID, ids []liked.PostID) ([]Seen, error)
	// LatestPosts returns up to max posts that every viewer may see, those with the highest ids, highest first, and no reposts.
	// Where many of those are hidden it may return fewer than there are. Invalid if max is below 1.
	LatestPosts(ctx context.Context, max int) ([]liked.Post, error)
	// NewestPosts returns each user's post with the highest id, in the order of users; zero if there is none that the
	// viewer may see.
	NewestPosts(ctx context.Context, viewer liked.UserID, users []liked.UserID) ([]liked.PostID, error)
	// DeletePost removes the post for good. NotFound if it is not there, Forbidden if by is neither its author nor zero
	// (the operator). Likes of it can no longer be set, and leave every list; those who set them keep them in their
	// metrics until they take them back. If the author had pinned the post, it no longer is.
	DeletePost(ctx context.Context, by liked.UserID, id liked.PostID) error
}

// Relations is what stands between users.
type Relations interface {
	// Relations returns what stands between the viewer and each of the users, in the order of users.
	Relations(ctx context.Context, viewer liked.UserID, users []liked.UserID) ([]Relation, error)
	// SetFollow and SetBlock make the relation be on or off and report whether that changed anything. NotFound if either
	// user does not exist, Invalid for a relation to oneself. A block ends the follows between the two, both ways.
	SetFollow(ctx context.Context, follower, followed liked.UserID, on bool) (changed bool, err error)
	SetBlock(ctx context.Context, blocker, blocked liked.UserID, on bool) (changed bool, err error)
}

// Seen is a post as a viewer sees it, or the error that Post would return, of kind NotFound or Forbidden.
type Seen struct {
	Post liked.Post
	Err  error
}

// Relation is what stands between a viewer and another user.
type Relation struct {
	Follows, FollowedBy, Blocks bool // the viewer follows, is followed by, blocks the user
}
