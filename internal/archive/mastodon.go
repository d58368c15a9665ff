package archive

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"

	"liked"
)

// Mastodon's archive (Preferences, Import and export, Request your archive) is made by its BackupService: likes.json
// is an ActivityPub OrderedCollection (Activity Streams 2.0, section 5) of post addresses; actor.json is the person.
// Older releases write tar.gz, newer ones zip. Likes are oldest first, by post or by like.

func (l *Likes) mastodon(items []json.RawMessage) {
	for _, raw := range items {
		var address string
		if json.Unmarshal(raw, &address) != nil {
			var object struct{ ID string } // an item may be the object instead of its id
			_ = json.Unmarshal(raw, &object)
			address = object.ID
		}
		l.add(mastodonPost(address))
	}
}

// mastodonPost makes a like of a post's address, on Mastodon https://HOST/users/NAME/statuses/ID. Those of other
// servers tell only the host.
func mastodonPost(address string) (item, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.ContainsRune(address, 0) {
		return item{}, liked.Errorf(liked.Invalid, "%q is not the address of a post", address)
	}
	post := liked.Post{ID: liked.PostID(ForeignID(address)), Text: address, CreatedAt: time.Unix(0, 0).UTC()}
	author, name := u.Scheme+"://"+u.Host, u.Host
	segments := strings.Split(strings.TrimPrefix(u.Path, "/"), "/")
	if len(segments) == 4 && segments[0] == "users" && segments[2] == "statuses" {
		author += "/users/" + segments[1]
		name = segments[1] + "@" + u.Host
		// The upper 48 bits of an id are milliseconds since 1970. Older ids are sequential: see Mastodon::Snowflake.
		id, err := strconv.ParseInt(segments[3], 10, 64)
		if ms := id >> 16; err == nil && ms >= 1451606400000 { // 2016, before Mastodon
			post.CreatedAt = time.UnixMilli(ms).UTC()
		}
	}
	return item{post: post, by: standIn("m", author, name)}, nil
}

func (l *Likes) mastodonActor(text []byte) error {
	var actor struct {
		ID        string    `json:"id"`
		Username  string    `json:"preferredUsername"`
		Name      string    `json:"name"`
		Published time.Time `json:"published"`
	}
	if err := json.Unmarshal(text, &actor); err != nil {
		return err
	}
	if actor.ID != "" && liked.ValidUsername(actor.Username) { // Mastodon allows longer names: the operator must name the user
		l.own(liked.UserID(ForeignID(actor.ID)), actor.Username, actor.Name, actor.Published, actor.ID)
	}
	return nil
}
