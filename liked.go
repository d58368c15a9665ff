// Package liked has the types that all packages share: the caller ([Principal]), what can be liked ([User], [Post]), an
// entry of the like log ([LikeEvent]), and the one error with meaning across packages ([Error]).
//
// A "post" is a "tweet" on the wire. Values are plain data; a package that returns one keeps no reference to it.
package liked

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// ID is a positive 63-bit integer; zero is none. In JSON it is a string: many clients round numbers past 2^53.
type ID[Of any] int64

type (
	UserID         = ID[User]
	PostID         = ID[Post]
	AppID          = ID[App]
	WebhookID      = ID[Webhook]
	SubscriptionID = ID[Subscription]
)

func (id ID[Of]) String() string               { return strconv.FormatInt(int64(id), 10) }
func (id ID[Of]) MarshalText() ([]byte, error) { return strconv.AppendInt(nil, int64(id), 10), nil }
func (id *ID[Of]) UnmarshalText(text []byte) (err error) {
	*id, err = ParseID[ID[Of]](string(text))
	return
}

var errID = errors.New("an id is 1 to 19 decimal digits, at most 9223372036854775807")

// ParseID parses the wire form `^[0-9]{1,19}$`, at most 2^63-1. As on X, "007" is 7.
func ParseID[I ~int64](s string) (I, error) {
	if len(s) > 19 {
		return 0, errID
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, errID
	}
	return I(n), nil
}

// AccountState says what an account may do.
type AccountState uint8

const (
	Active      AccountState = iota
	Locked                   // may read; writes are refused until the person unlocks the account
	Suspended                // by the operator: no reads or writes, posts hidden
	Deactivated              // by the person: as Suspended
)

// Hidden reports whether the account and its posts are hidden from every caller.
func (s AccountState) Hidden() bool { return s == Suspended || s == Deactivated }

func (s AccountState) String() string               { return name(accountStates, s) }
func (s AccountState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
func (s *AccountState) UnmarshalText(text []byte) error {
	return parseName(s, "account state", accountStates, text)
}

var accountStates = []string{"active", "locked", "suspended", "deactivated"}

// User is an account. The store sets Metrics, and ignores them in writes.
type User struct {
	ID              UserID
	Username        string // 1 to 15 of A-Z a-z 0-9 _, unique in any case, kept as written
	Name            string // 1 to 50 characters, all Seen
	CreatedAt       time.Time
	Protected       bool // only followers see the posts
	State           AccountState
	Description     string
	Location        string
	URL             string
	ProfileImageURL string
	Verified        bool
	PinnedPost      PostID
	Metrics         UserMetrics
}

// UserMetrics are exact when read. Likes are those not taken back, also of deleted posts.
type UserMetrics struct {
	Followers, Following, Posts, Likes int64
}

// ValidUsername reports whether s may be a username.
func ValidUsername(s string) bool { return username.MatchString(s) }

var username = regexp.MustCompile(`^[A-Za-z0-9_]{1,15}$`)

// Post is something that can be liked. The store sets Metrics, Conversation and InReplyToUser.
type Post struct {
	ID        PostID
	Author    UserID
	Text      string
	CreatedAt time.Time
	RepostOf  PostID // the original of a repost: liking the repost likes it
	InReplyTo PostID
	Quotes    PostID
	Metrics   PostMetrics

	Conversation  PostID // of a reply: the root of the thread
	InReplyToUser UserID // of a reply: the author of InReplyTo
}

// PostMetrics are exact when read.
type PostMetrics struct {
	Reposts, Replies, Likes, Quotes int64
}

// Seq is the position of a change in the like log, and identifies the like: milliseconds since 1970 in the upper 44
// bits, a counter in the lower 20. It is unique, and rises within a log partition, a user's list of likes and a post's,
// even if the clock goes back. Positions in different partitions have no order.
type Seq uint64

// Time is the time of the change, if the clock did not go back.
func (s Seq) Time() time.Time { return time.UnixMilli(int64(s >> 20)).UTC() }

// SeqAt returns the lowest position at t or later.
func SeqAt(t time.Time) Seq { return Seq(max(t.UnixMilli(), 0)) << 20 }

// Partitions is the number of partitions of the like log. A user's changes are in one of them, in order.
const Partitions = 20

// PartitionOf is the partition of the user's changes, on every engine and for good. Identifiers made slowly differ only in
// their upper bits, so all bits are mixed first (the finalizer of SplitMix64).
func PartitionOf(user UserID) int {
	x := uint64(user) + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return int((x ^ x>>31) % Partitions)
}

// Positions is the last position read in each partition of the like log.
type Positions [Partitions]Seq

type LikeEvent struct {
	Seq    Seq
	On     bool
	User   UserID
	Post   PostID
	Author UserID // of the post
	At     time.Time
}

// RateRule allows Max requests to an endpoint in each Window.
type RateRule struct {
	App    bool // counted per app; otherwise per user of each app
	Window time.Duration
	Max    int
}

// MaxRateRules bounds the rules of one endpoint.
const MaxRateRules = 4

// RateState is a rule's window after a request.
type RateState struct {
	RateRule
	Remaining int
	Reset     time.Time // in whole seconds
}

func name[E ~uint8](names []string, e E) string {
	if int(e) < len(names) {
		return names[e]
	}
	return "unknown"
}

func parseName[E ~uint8](e *E, what string, names []string, text []byte) error {
	i := slices.Index(names, string(text))
	if i < 0 {
		return Errorf(Invalid, "%s %q is not one of %v", what, text, names)
	}
	*e = E(i)
	return nil
}
