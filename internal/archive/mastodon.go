package archive

import (
	"cmp"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"liked"
)

// Mastodon's archive (Preferences, Import and export, Request your archive) is made by its BackupService: likes.json
// is an ActivityPub OrderedCollection (Activity Streams 2.0, section 5) of post addresses; actor.json is the person.
// Older releases write tar.gz, newer ones zip. Likes are oldest first, by post or by like.

// collection takes a collection whose items were read. It says by its id what it collects: bookmarks.json and
// outbox.json look alike.
func (r *reader) collection(v value) error {
	if err := r.is(mastodon); err != nil {
		return err
	}
	id := v.member("id")
	if id == "" {
		id = r.where
	}
	id, _, _ = strings.Cut(id, "?")
	name, _, _ := strings.Cut(path.Base(id), ".")
	named := slices.Contains([]string{"likes", "liked", "favourites"}, name) || !v.has("id") && strings.Contains(name, "like")
	if u, err := url.Parse(id); name == "likes" && err == nil && u.Host != "" && !noPost.MatchString(path.Dir(u.Path)) {
		return fmt.Errorf("%s: it holds who likes %s, not what somebody likes: give likes.json, or the whole archive",
			r.where, strings.TrimSuffix(id, "/likes"))
	}
	if kind := v.member("type"); !named || v.has("type") && !strings.Contains(kind, "Collection") {
		return fmt.Errorf("%s: it is a collection of %s, not of likes: give likes.json, or the whole archive", r.where, name)
	}
	return nil
}

// posts are the types of ActivityPub objects that can be liked.
var posts = []string{"", "Note", "Article", "Question", "Page", "Image", "Video", "Audio", "Document", "Event"}

// noPost is the path of a server, a person or a tag.
var noPost = regexp.MustCompile(`^/?((ap/)?users/[^/]+/?|u/[^/]+/?|@[^/]+/?|tags/[^/]+/?)?$`)

// An item is the address of a post, the post, or the like of it. All likes are of one person.
func (r *reader) mastodonLike(v value) (l like, err error) {
	if v.member("type") == "Like" {
		actor := v.member("actor")
		if r.actor = cmp.Or(r.actor, actor); actor != "" && actor != r.actor {
			return l, fmt.Errorf("it is a like of %s, and others are of %s: who likes a post is no list of likes", actor, r.actor)
		}
		if object := v.object("object"); object.members != nil {
			v = object
		} else {
			v = value{text: v.member("object")}
		}
	}
	address := v.text
	if v.members != nil {
		if kind := v.member("type"); !slices.Contains(posts, kind) {
			return l, fmt.Errorf("it is no like: its type is %q", kind)
		}
		address = v.member("id")
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.ContainsRune(address, 0) {
		return l, fmt.Errorf("%q is not the address of a post", address)
	}
	if noPost.MatchString(u.Path) && u.RawQuery == "" {
		return l, fmt.Errorf("%q is the address of a server, a person or a tag, not of a post", address)
	}
	l = like{Post: liked.PostID(ForeignID(address)), Text: address, Service: "m", Author: u.Scheme + "://" + u.Host, Name: u.Host}
	if m := status.FindStringSubmatch(u.Path); m != nil {
		if m[4] != "" {
			return l, fmt.Errorf("%q is the address of an activity, not of a post", address)
		}
		l.Author += m[1]
		if strings.HasPrefix(m[1], "/users/") { // otherwise it is a number
			l.Name = m[2] + "@" + u.Host
		}
		// The upper 48 bits of an id are milliseconds since 1970. Older ids are sequential: see Mastodon::Snowflake.
		id, err := strconv.ParseInt(m[3], 10, 64)
		if ms := id >> 16; err == nil && ms >= 1451606400000 { // 2016, before Mastodon
			l.Created = time.UnixMilli(ms)
		}
	}
	return l, nil
}

// status is the path of a post on Mastodon. Those of other servers tell only the host.
var status = regexp.MustCompile(`^(/(?:ap/)?users/([^/]+))/statuses/([^/]+)(/activity)?$`)

func (r *reader) mastodonActor(v value) {
	id, username := v.member("id"), v.member("preferredUsername")
	if id != "" && liked.ValidUsername(username) { // Mastodon allows longer names: the operator must name the user
		r.own(liked.UserID(ForeignID(id)), username, v.member("name"), v.member("published"), id)
	}
}
