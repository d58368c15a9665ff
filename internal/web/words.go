package web

import "slices"

// right is something that an app may be allowed, in words for the user who is asked.
type right struct {
	scope  string
	words  string
	access int // OAuth 1.0a: least permission that grants it; 1 read, 2 read-write, 3 with direct messages, 0 none
}

// rights is all that an app can be allowed, closest to likes first.
var rights = []right{
	{"tweet.read", "See posts that you can see, those of protected accounts included", 1},
	{"like.read", "See which posts you like", 1},
	{"like.write", "Like posts for you, and take likes back", 2},
	{"users.read", "See accounts that you can see, those that are protected included", 1},
	{"users.email", "See your email address", 0},
	{"tweet.write", "Post, repost and delete posts for you", 2},
	{"tweet.moderate.write", "Hide and show replies to your posts", 2},
	{"follows.read", "See whom you follow and who follows you", 1},
	{"follows.write", "Follow and unfollow people for you", 2},
	{"block.read", "See whom you block", 1},
	{"block.write", "Block and unblock people for you", 2},
	{"mute.read", "See whom you mute", 1},
	{"mute.write", "Mute and unmute people for you", 2},
	{"list.read", "See your lists, the private ones included", 1},
	{"list.write", "Make, change and delete lists for you", 2},
	{"bookmark.read", "See your bookmarks", 0},
	{"bookmark.write", "Add and remove bookmarks for you", 0},
	{"dm.read", "Read your direct messages", 3},
	{"dm.write", "Send and delete direct messages for you", 3},
	{"media.write", "Upload pictures and videos for you", 2},
	{"timeline.read", "See your timelines", 1},
	{"space.read", "See live audio that you can hear", 1},
	{"broadcast.read", "See your broadcasts", 0},
	{"broadcast.write", "Start and end broadcasts for you", 0},
}

// kept is what offline.access allows, no right by itself.
const kept = "Stay connected until you revoke it, even while you are away"

// never is what no app may do.
var never = []string{"See or change your password"}

// notable rights are mentioned if an app lacks them: users fear them most.
var notable = []string{"like.write", "tweet.write", "dm.read"}

// can describes what the scopes (OAuth 2.0) or the permission (OAuth 1.0a) allow. A scope without words is shown by its
// name, so that nothing is allowed unsaid.
func can(scopes []string, access string) []string {
	var said []string
	for _, r := range rights {
		if r.allowed(scopes, access) {
			said = append(said, r.words)
		}
	}
	if access != "" { // OAuth 1.0a tokens do not expire
		said = append(said, kept)
	}
	for _, scope := range scopes {
		known := slices.ContainsFunc(rights, func(r right) bool { return r.scope == scope })
		if scope == "offline.access" {
			said = append(said, kept)
		} else if !known {
			said = append(said, scope)
		}
	}
	return said
}

// cannot describes the most important rights that they do not allow.
func cannot(scopes []string, access string) []string {
	var said []string
	for _, r := range rights {
		if slices.Contains(notable, r.scope) && !r.allowed(scopes, access) {
			said = append(said, r.words)
		}
	}
	return append(said, never...)
}

func (r right) allowed(scopes []string, access string) bool {
	if access == "" {
		return slices.Contains(scopes, r.scope)
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
