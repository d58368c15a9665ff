package store

import (
	"context"

	"liked"
)

// Transfer moves whole worlds: all that people have done, without credentials.
type Transfer interface {
	// Export calls back with every user, post, block, follow and like at one moment, while calls go on. The order is one
	// that Import takes, and follows from the content alone: users, then posts (in order of id, but what a post refers to
	// comes before it), blocks, follows, then each user's likes, oldest first. An error of each ends it and is returned.
	Export(ctx context.Context, each func(Record) error) error

	// Import puts the records in, in their order, as one step: a record sees what those before it have added. Each adds
	// what is missing and changes nothing that is there, so that a repeat changes nothing. What it cannot add it refuses,
	// and leaves no trace of it; unless it is to keep going, it looks at nothing after the first refusal.
	//
	// A like is put where its Seq says, and so among older and newer likes in every list. It is no change that happens
	// now, has a position that readers of the like log may be past, and is therefore not in the log; taking it back is.
	//
	// Refusals are Invalid for a field that cannot be, Conflict for a username that another user has, NotFound for what
	// refers to something that never was. Whether the user may see what they like is not asked.
	Import(ctx context.Context, records []Record, keepGoing bool) (Imported, error)
}

// Record is one piece of a world. Exactly one of its fields is set.
type Record struct {
	User   *liked.User // without metrics
	Post   *Post
	Block  *Pair
	Follow *Pair
	Like   *Like
}

// Post is a post without metrics, or what is left of a deleted one: nothing but ID, Author and RepostOf then. A reply
// whose Conversation or InReplyToUser is zero gets them from the post that it answers.
type Post struct {
	liked.Post
	Deleted bool
	// By is the author, added with the post where both are missing: a stand-in for a user of whom little is known. Such
	// a post refers to no other. Export leaves it nil.
	By *liked.User
}

// Pair is what From has set towards To.
type Pair struct {
	From, To liked.UserID
}

// Like is a like that is there. Imported, its Seq is a wish: where another like of the user or of the post has it, it gets
// one after all that the two have in that millisecond.
type Like struct {
	User liked.UserID
	Post liked.PostID // the original, never a repost; Import takes either
	Seq  liked.Seq
}

// Imported is what one Import did.
type Imported struct {
	Added   int // records that were missing
	Kept    int // records that were there
	Refused []Refused
}

// Refused is a record that was not put in.
type Refused struct {
	Index int // in the records
	Err   error
}
