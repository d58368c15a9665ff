package liked

import (
	"slices"
	"strings"
	"time"
)

type Credential uint8

const (
	OAuth1User Credential = 1 << iota // OAuth 1.0a User Context
	AppOnly                           // OAuth 2.0 Application-Only
	OAuth2User                        // OAuth 2.0 User Context
)

// Principal is the caller: an app, usually for a user.
type Principal struct {
	Credential Credential
	App        AppID
	ClientID   string   // OAuth 2.0 client id, which some refusals name
	AppState   AppState // Enrolled or NotEnrolled; a suspended app has no principal
	Tier       Tier
	AppOwner   UserID       // zero: the operator
	User       UserID       // zero for AppOnly
	State      AccountState // of the user
	Scopes     Scope        // of an OAuth2User only
	Access     Access       // permission level of the credential
}

// Access is the permission level of an app or of an OAuth 1.0a token, which keeps that of its issue.
type Access uint8

const (
	ReadOnly Access = iota
	ReadWrite
	ReadWriteDirectMessages
)

func (a Access) String() string               { return name(accesses, a) }
func (a Access) MarshalText() ([]byte, error) { return []byte(a.String()), nil }
func (a *Access) UnmarshalText(text []byte) error {
	return parseName(a, "access level", accesses, text)
}

var accesses = []string{"read", "read-write", "read-write-directmessages"}

// AppState says whether an app may call at all.
type AppState uint8

const (
	Enrolled     AppState = iota
	NotEnrolled           // not attached to a project: authenticated, and refused
	AppSuspended          // its credentials are treated as unknown
)

func (s AppState) String() string               { return name(appStates, s) }
func (s AppState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
func (s *AppState) UnmarshalText(text []byte) error {
	return parseName(s, "app state", appStates, text)
}

var appStates = []string{"enrolled", "not-enrolled", "suspended"}

// Tier is the owner's plan. On X, likes left the self-serve tiers in 2025 and 2026.
type Tier uint8

const (
	Enterprise Tier = iota // everything
	SelfServe              // no likes
)

func (t Tier) String() string                   { return name(tiers, t) }
func (t Tier) MarshalText() ([]byte, error)     { return []byte(t.String()), nil }
func (t *Tier) UnmarshalText(text []byte) error { return parseName(t, "tier", tiers, text) }

var tiers = []string{"enterprise", "self-serve"}

// App is a client (RFC 6749) and a consumer (RFC 5849).
type App struct {
	ID           AppID
	Owner        UserID // zero: the operator
	Name         string
	Public       bool // native or single-page: no client secret
	State        AppState
	Tier         Tier
	Access       Access
	RedirectURIs []string // at most 10, shared by OAuth 2.0 and 1.0a, matched exactly
	CreatedAt    time.Time

	ClientID string // 1 to 1000 bytes, as APIKey
	APIKey   string // the OAuth 1.0a consumer key
}

type Scope uint32

// X's scopes, in the order of the server's lists.
const (
	TweetRead Scope = 1 << iota
	TweetWrite
	TweetModerateWrite
	UsersRead
	UsersEmail
	FollowsRead
	FollowsWrite
	OfflineAccess
	SpaceRead
	MuteRead
	MuteWrite
	LikeRead
	LikeWrite
	ListRead
	ListWrite
	BlockRead
	BlockWrite
	BookmarkRead
	BookmarkWrite
	DMRead
	DMWrite
	MediaWrite
	TimelineRead
	BroadcastRead
	BroadcastWrite

	AllScopes = BroadcastWrite<<1 - 1
)

var scopeNames = []string{"tweet.read", "tweet.write", "tweet.moderate.write", "users.read", "users.email",
	"follows.read", "follows.write", "offline.access", "space.read", "mute.read", "mute.write", "like.read",
	"like.write", "list.read", "list.write", "block.read", "block.write", "bookmark.read", "bookmark.write", "dm.read",
	"dm.write", "media.write", "timeline.read", "broadcast.read", "broadcast.write"}

// Has reports whether s holds every scope of want.
func (s Scope) Has(want Scope) bool { return s&want == want }

// String separates the scopes by single spaces (RFC 6749, 3.3), in a fixed order.
func (s Scope) String() string {
	var names []string
	for i, n := range scopeNames {
		if s&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return strings.Join(names, " ")
}

// ParseScope parses scopes separated by spaces. Repeats are allowed, an unknown scope is Invalid.
func ParseScope(list string) (Scope, error) {
	var s Scope
	for _, word := range strings.Fields(list) {
		i := slices.Index(scopeNames, word)
		if i < 0 {
			return 0, Errorf(Invalid, "unknown scope %q", word)
		}
		s |= 1 << i
	}
	return s, nil
}
