// Package store is the contract between the server and the engines that keep its data: interfaces and types, no code.
// An engine implements [Store]; other packages take its small interfaces. Read [Likes] first. Package storetest tests
// all of it on every engine.
package store

import (
	"context"
	"errors"
	"time"

	"liked"
)

// Store keeps everything that must outlive a request. Each method is one atomic step: it happens whole or not at all, a
// nil error means that it survives a crash, and concurrent calls behave as if run one at a time. What a read returns
// survives a crash, too. Conflicts between calls are resolved inside the engine, never returned.
//
// Texts are UTF-8 without NUL, of any length unless their types limit it. Any other text is Invalid in a record, and
// finds nothing in a look-up.
//
// RedeemCode, RotateRefreshToken and RedeemRequestToken are single-use: of any number of concurrent calls with one hash, one
// succeeds. Callers check all else (client, redirect URI, verifier, expiry) first, so that a wrong guess spends nothing.
//
// Errors are *liked.Error. A look-up of one thing that is not there is NotFound. Every method may return Unavailable
// (the store is closed, or its disk refuses writes) and the error of ctx; after either, a write may or may not have
// happened. Arguments are not kept or changed; results belong to the caller.
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

	// Sweep removes codes, tokens, request tokens and sessions that expired before now, and the rest of revoked grants.
	Sweep(ctx context.Context, now time.Time) error

	// Totals is exact and cheap, but the first call after opening may read all data of every user while other calls go on.
	Totals(ctx context.Context) (Totals, error)

	// Check reads the whole store at one moment, while calls go on, and compares likes, both lists, counts and the log.
	// It returns an error only if it could not read.
	Check(ctx context.Context) (Report, error)

	// Close waits for running calls, then releases everything. Later calls return Unavailable.
	Close() error
}

// ErrInUse is the cause if an engine with files of its own cannot open them because another process has them open.
var ErrInUse = errors.New("locked")

// Totals counts no deleted posts, but likes of them until taken back.
type Totals struct{ Users, Posts, Likes int64 }

type Report struct {
	Users      int64    `json:"users"`
	Posts      int64    `json:"posts"`
	Likes      int64    `json:"likes"`
	LogEntries int64    `json:"log_entries"`
	Problems   []string `json:"problems"` // not nil, at most 100, each names the keys that disagree
}

// Operator is the viewer who sees every post, user and list that exists, whatever stands between others.
const Operator liked.UserID = -1

// Likes records who likes what.
type Likes interface {
	// SetLike sets the like on or off and reports whether that changed anything. A change appends exactly one entry to
	// the like log in the same step. A like of a repost is a like of its original.
	//
	// Turning a like on: NotFound if the post, its original or its author is gone or hidden; Forbidden if its author
	// blocked the user, or is protected and not followed by the user. Turning one off has no such errors.
	SetLike(ctx context.Context, user liked.UserID, post liked.PostID, on bool, at time.Time) (changed bool, err error)

	// LikedPosts returns a page of the posts that the user likes, without those that Post would refuse the viewer.
	// Errors are those of Post by the user. Invalid if max is below 1. Space, which may be nil, is where items are put if it has
	// room for them.
	LikedPosts(ctx context.Context, viewer, user liked.UserID, from Cursor, max int, metrics Metrics,
		space []liked.Post) (Page[liked.Post], error)

	// LikingUsers returns a page of the users who like the post (of a repost: its original), without those who are
	// hidden, blocked the viewer, or are protected and not followed by the viewer. Errors are those of Post, for the
	// repost and its original. Invalid if max is below 1. Space is as of LikedPosts.
	LikingUsers(ctx context.Context, viewer liked.UserID, post liked.PostID, from Cursor, max int, metrics Metrics,
		space []liked.User) (Page[liked.User], error)

	// Liked reports which of the posts the user likes, in the order of posts.
	Liked(ctx context.Context, user liked.UserID, posts []liked.PostID) ([]bool, error)
}

// Metrics says whether users or posts come with their metrics, which cost a look-up each. Without them they may be zero.
type Metrics bool

const (
	WithMetrics    Metrics = true
	WithoutMetrics Metrics = false
)

type Log interface {
	// LikeLog returns entries of a partition (0 to liked.Partitions-1) after the position, oldest first, waiting until
	// there is one or ctx is done. After an entry was returned, none appears before it. How long entries are kept is
	// set when the engine is opened.
	LikeLog(ctx context.Context, partition int, after liked.Seq, max int) ([]liked.LikeEvent, error)
	// LogEnds returns the position of each partition's newest entry, zero if there is none. Later entries come after
	// it, and LikeLog from an earlier position does not wait.
	LogEnds(ctx context.Context) (liked.Positions, error)
}

// Cursor is a place in a list of likes and a direction: to the likes below Seq, which are older, or to Seq and those
// above it. Zero starts at the newest. It is valid for any page size, and after a restart. Writes do not make a walk in
// one direction skip or repeat a like: one taken back and set again is a new like, at the top.
type Cursor struct {
	Seq   liked.Seq
	Newer bool
}

// Page is a part of a list of likes: as many items as were asked for, or all in that direction. If some were left out,
// it may be shorter or empty without being the last. The newest like comes first in either direction, and the likes are
// those nearest to the cursor. The cost depends on the page's size, not on the list's length or the place in it.
type Page[T any] struct {
	Items []T
	Older Cursor // zero: there are none, whether or not the viewer may see them
	Newer Cursor // zero: there are none, or the page started at the newest
}

type Users interface {
	// AddUser adds the user. Conflict if the id or the username (in any case) is taken, Invalid if a field is.
	AddUser(ctx context.Context, u liked.User) error
	// UpdateUser applies change to the user, whose id cannot change. An error of change is returned as it is, and
	// nothing changes. Conflict and Invalid are as in AddUser. change must not call the store and may run twice.
	UpdateUser(ctx context.Context, id liked.UserID, change func(*liked.User) error) error
	User(ctx context.Context, id liked.UserID) (liked.User, error)
	UserByUsername(ctx context.Context, username string) (liked.User, error)
	// UsersByID and UsersByUsername return the users who exist, hidden ones too, in the order asked, with repeats.
	UsersByID(ctx context.Context, ids []liked.UserID, metrics Metrics) ([]liked.User, error)
	UsersByUsername(ctx context.Context, usernames []string, metrics Metrics) ([]liked.User, error)
	// Users returns up to max users with an id above after, by id.
	Users(ctx context.Context, after liked.UserID, max int) ([]liked.User, error)
	// UsersNamed returns up to max users whose usernames begin with prefix and come after the given one ("": from the
	// first), in any case, by username in lower case.
	UsersNamed(ctx context.Context, prefix, after string, max int) ([]liked.User, error)
}

// Posts keeps what can be liked.
type Posts interface {
	// AddPost adds the post. Conflict if the id is taken, NotFound if the author or a referenced post does not exist.
	AddPost(ctx context.Context, p liked.Post) error
	// Publish is AddPost with an author's limits. NotFound also if the author may not see a post that p answers or quotes;
	// the error has its id as in p, the answered one's if it is both. Forbidden if one of the author's 20 newest posts is
	// from the last 24 hours and has the same text and references. A reply to a repost, or its quote, is one of its original.
	Publish(ctx context.Context, p liked.Post) error
	// Post returns the post as the viewer (zero: no user) sees it. NotFound if the post is gone or its author hidden;
	// Forbidden if the author blocked the viewer, or is protected and not followed by the viewer.
	Post(ctx context.Context, viewer liked.UserID, id liked.PostID) (liked.Post, error)
	// Posts returns what Post would for each id, in their order, but maybe without metrics.
	Posts(ctx context.Context, viewer liked.UserID, ids []liked.PostID, metrics Metrics) ([]Seen, error)
	// LatestPosts returns up to max posts that every viewer may see, no reposts, the highest id first; fewer than there
	// are, maybe, where many are hidden. Invalid if max is below 1.
	LatestPosts(ctx context.Context, max int) ([]liked.Post, error)
	// NewestPosts returns each user's post with the highest id, in order; zero if the viewer may see none.
	NewestPosts(ctx context.Context, viewer liked.UserID, users []liked.UserID) ([]liked.PostID, error)
	// PostsBy returns up to max posts of the author (zero: of everybody) with an id below before (zero: from the highest),
	// the highest id first: all that exist, whoever may see them.
	PostsBy(ctx context.Context, author liked.UserID, before liked.PostID, max int) ([]liked.Post, error)
	// DeletePost removes the post for good. NotFound if it is not there, Forbidden if by is neither its author nor zero
	// (the operator). Its likes can no longer be set and leave every list, but stay in their users' metrics until taken
	// back. If its author pinned it, it is unpinned.
	DeletePost(ctx context.Context, by liked.UserID, id liked.PostID) error
}

// Relations keeps follows and blocks.
type Relations interface {
	// Relations returns the viewer's relation to each user, in order.
	Relations(ctx context.Context, viewer liked.UserID, users []liked.UserID) ([]Relation, error)
	// SetFollow and SetBlock set the relation on or off and report whether that changed anything. NotFound if either
	// user does not exist, Invalid for a relation to oneself. A block ends the follows both ways.
	SetFollow(ctx context.Context, follower, followed liked.UserID, on bool) (changed bool, err error)
	SetBlock(ctx context.Context, blocker, blocked liked.UserID, on bool) (changed bool, err error)
	// Related returns up to max users on the side of the user, with an id above after, by id: all of them, hidden ones
	// too. NotFound if there is no such user.
	Related(ctx context.Context, user liked.UserID, side Side, after liked.UserID, max int) ([]liked.User, error)
}

// Side is one side of a relation: the users whom a user follows or blocks, or who do so to the user.
type Side uint8

const (
	Following Side = iota
	Followers
	Blocking
	BlockedBy
)

// Seen is a post as a viewer sees it, or Post's error, of kind NotFound or Forbidden.
type Seen struct {
	Post liked.Post
	Err  error
}

// Relation says whether the viewer follows, is followed by, blocks, or is blocked by the user.
type Relation struct {
	Follows, FollowedBy, Blocks, BlockedBy bool
}
