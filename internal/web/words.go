package web

import (
	"slices"
	"strings"

	"liked"
)

// right is something that an app may be allowed, in words for the user who is asked.
type right struct {
	scope  liked.Scope
	words  string
	access int // OAuth 1.0a: least permission that grants it; 1 read, 2 read-write, 3 with direct messages, 0 none
}

// rights is all that an app can be allowed, closest to likes first.
var rights = []right{
	{liked.TweetRead, "See posts that you can see, those of protected accounts included", 1},
	{liked.LikeRead, "See which posts you like", 1},
	{liked.LikeWrite, "Like posts for you, and take likes back", 2},
	{liked.UsersRead, "See accounts that you can see, those that are protected included", 1},
	{liked.UsersEmail, "See your email address", 0},
	{liked.TweetWrite, "Post, repost and delete posts for you", 2},
	{liked.TweetModerateWrite, "Hide and show replies to your posts", 2},
	{liked.FollowsRead, "See whom you follow and who follows you", 1},
	{liked.FollowsWrite, "Follow and unfollow people for you", 2},
	{liked.BlockRead, "See whom you block", 1},
	{liked.BlockWrite, "Block and unblock people for you", 2},
	{liked.MuteRead, "See whom you mute", 1},
	{liked.MuteWrite, "Mute and unmute people for you", 2},
	{liked.ListRead, "See your lists, the private ones included", 1},
	{liked.ListWrite, "Make, change and delete lists for you", 2},
	{liked.BookmarkRead, "See your bookmarks", 0},
	{liked.BookmarkWrite, "Add and remove bookmarks for you", 0},
	{liked.DMRead, "Read your direct messages", 3},
	{liked.DMWrite, "Send and delete direct messages for you", 3},
	{liked.MediaWrite, "Upload pictures and videos for you", 2},
	{liked.TimelineRead, "See your timelines", 1},
	{liked.SpaceRead, "See live audio that you can hear", 1},
	{liked.BroadcastRead, "See your broadcasts", 0},
	{liked.BroadcastWrite, "Start and end broadcasts for you", 0},
	{liked.OfflineAccess, "Stay connected until you revoke it, even while you are away", 1}, // OAuth 1.0a tokens do not expire
}

// notable rights are mentioned if an app lacks them: users fear them most.
const notable liked.Scope = liked.LikeWrite | liked.TweetWrite | liked.DMRead

// can describes what the scopes (OAuth 2.0) or the permission (OAuth 1.0a) allow. A scope without words is shown by its
// name, so that nothing is allowed unsaid.
func can(scopes liked.Scope, access string) (said []string) {
	for _, r := range rights {
		if r.allowed(scopes, access) {
			said = append(said, r.words)
		}
		scopes &^= r.scope
	}
	return append(said, strings.Fields(scopes.String())...)
}

// cannot describes the most important rights that they do not allow, and what no app may do.
func cannot(scopes liked.Scope, access string) (said []string) {
	for _, r := range rights {
		if notable.Has(r.scope) && !r.allowed(scopes, access) {
			said = append(said, r.words)
		}
	}
	return append(said, "See or change your password")
}

func (r right) allowed(scopes liked.Scope, access string) bool {
	if access == "" {
		return scopes.Has(r.scope)
	}
	return r.access != 0 && r.access <= 1+slices.Index(accessLevels(), access)
}

// accessLevels are the permissions of OAuth 1.0a. Each includes those before it.
func accessLevels() []string { return []string{"read", "read-write", "read-write-directmessages"} }

// accessName is a permission's name on forms.
func accessName(access string) string {
	names := []string{"Read", "Read and write", "Read, write and direct messages"}
	if i := slices.Index(accessLevels(), access); i >= 0 {
		return names[i]
	}
	return access
}
