package store

import (
	"context"

	"liked"
)

// Transfer moves users, posts, relations and likes, but no credentials.
type Transfer interface {
	// Export calls each with every user, post, block, follow and like at one moment, while other calls go on. The order
	// is one that Import takes, and follows from the content alone: users, posts (by id, but after those they refer
	// to), blocks, follows, then each user's likes, oldest first. An error of each ends it and is returned.
	Export(ctx context.Context, each func(Record) error) error
	// Settle ends a large import: it does at once what makes reads fast and would be done in time. Calls go on meanwhile,
	// and what they see is the same. If it ends early, with an error, nothing is lost.
	Settle(ctx context.Context) error

	// Import adds the records in order, as one step: a record sees those before it. What exists stays unchanged, so
	// that a repeat changes nothing. A record that cannot be added is refused and leaves no trace; without keepGoing,
	// no record after the first refused one is looked at.
	//
	// A like takes the place of its Seq in every list. It is no change made now, and readers of the like log may be
	// past its position, so it is not in the log; taking it back is.
	//
	// Refusals are Invalid for a field, Conflict for a username that another user has, NotFound for a reference to
	// something that never existed. Whether the user may see the liked post is not checked.
	Import(ctx context.Context, records []Record, keepGoing bool) (Imported, error)
}

// Record has exactly one field set.
type Record struct {
	User   *liked.User // without metrics
	Post   *Post
	Block  *Pair
	Follow *Pair
	Like   *Like
}

// Post is a post without metrics, or the ID, Author and RepostOf of a deleted one. A reply gets a Conversation or
// InReplyToUser that is zero from the post that it answers.
type Post struct {
	liked.Post
	Deleted bool
	// By is the author, added with the post if both are missing: a stand-in for a user of whom little is known. Such a
	// post refers to no other. Export leaves it nil.
	By *liked.User
}

// Pair is a relation that From has set towards To.
type Pair struct {
	From, To liked.UserID
}

// Like is a like that is set. In Import, Seq is a preference: if another like of the user or the post has it, this one
// gets a Seq after all of theirs in that millisecond.
type Like struct {
	User liked.UserID
	Post liked.PostID // the original; Import takes a repost, too
	Seq  liked.Seq
	// With is the post, which Import adds with the like if it is missing: all of the two is added or nothing. Export
	// leaves it nil.
	With *Post
}

type Imported struct {
	Added   int
	Kept    int // records that existed
	Refused []Refused
}

type Refused struct {
	Index int
	Err   error
}
