package api

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"liked"
)

// The answers that are asked for most are written without reflection: documents of users and posts. TestAppend and
// FuzzAppend compare them with encoding/json, whose options the tags of the structs are.

// appendDocument appends the document, unless it has something else in it.
func appendDocument(b []byte, d *document) ([]byte, bool) {
	m := fields{b: append(b, '{')}
	switch data := d.Data.(type) {
	case nil:
	case []*userObject:
		m.b = appendArray(m.name("data"), data, appendUser)
	case []*postObject:
		m.b = appendArray(m.name("data"), data, appendPost)
	case *userObject:
		m.b = appendUser(m.name("data"), data)
	case *postObject:
		m.b = appendPost(m.name("data"), data)
	default:
		return b, false
	}
	if d.Includes != nil {
		in := fields{b: append(m.name("includes"), '{')}
		some(&in, "users", d.Includes.Users, appendUser)
		some(&in, "tweets", d.Includes.Tweets, appendPost)
		some(&in, "posts", d.Includes.Posts, appendPost)
		m.b = append(in.b, '}')
	}
	if len(d.Errors) > 0 {
		text, err := encode(d.Errors)
		if err != nil {
			return b, false
		}
		m.b = append(m.name("errors"), text...)
	}
	switch v := d.Meta.(type) {
	case nil:
	case *meta:
		in := fields{b: append(m.name("meta"), '{')}
		in.b = strconv.AppendInt(in.name("result_count"), int64(v.ResultCount), 10)
		in.text("next_token", v.NextToken)
		in.text("previous_token", v.PreviousToken)
		m.b = append(in.b, '}')
	default:
		return b, false
	}
	return append(m.b, '}'), true
}

func appendUser(b []byte, o *userObject) []byte {
	m := fields{b: append(b, '{')}
	m.b = appendID(m.name("id"), o.ID)
	m.b = appendText(m.name("name"), o.Name)
	m.b = appendText(m.name("username"), o.Username)
	some(&m, "connection_status", o.ConnectionStatus, appendText)
	m.text("created_at", o.CreatedAt)
	m.given("description", o.Description)
	m.text("location", o.Location)
	id(&m, "most_recent_tweet_id", o.MostRecentTweet)
	id(&m, "most_recent_post_id", o.MostRecentPost)
	id(&m, "pinned_tweet_id", o.PinnedTweet)
	id(&m, "pinned_post_id", o.PinnedPost)
	m.text("profile_image_url", o.ProfileImageURL)
	m.bool("protected", o.Protected)
	if n := o.PublicMetrics; n != nil {
		in := fields{b: append(m.name("public_metrics"), '{')}
		in.count("followers_count", &n.Followers)
		in.count("following_count", &n.Following)
		in.count("tweet_count", &n.Tweets)
		in.count("listed_count", &n.Listed)
		in.count("like_count", &n.Likes)
		m.b = append(in.b, '}')
	}
	m.given("url", o.URL)
	m.bool("verified", o.Verified)
	return append(m.b, '}')
}

func appendPost(b []byte, o *postObject) []byte {
	m := fields{b: append(b, '{')}
	some(&m, "edit_history_tweet_ids", o.EditHistory, appendID)
	some(&m, "edit_history_post_ids", o.EditHistoryPosts, appendID)
	m.b = appendID(m.name("id"), o.ID)
	m.b = appendText(m.name("text"), o.Text)
	id(&m, "author_id", o.AuthorID)
	id(&m, "conversation_id", o.ConversationID)
	m.text("created_at", o.CreatedAt)
	id(&m, "in_reply_to_user_id", o.InReplyToUserID)
	m.text("lang", o.Lang)
	if n := o.PublicMetrics; n != nil {
		in := fields{b: append(m.name("public_metrics"), '{')}
		in.count("retweet_count", n.Retweets)
		in.count("repost_count", n.Reposts)
		in.count("reply_count", &n.Replies)
		in.count("like_count", &n.Likes)
		in.count("quote_count", &n.Quotes)
		in.count("bookmark_count", &n.Bookmarks)
		in.count("impression_count", &n.Impressions)
		m.b = append(in.b, '}')
	}
	some(&m, "referenced_tweets", o.ReferencedTweets, appendReference)
	some(&m, "referenced_posts", o.ReferencedPosts, appendReference)
	m.text("reply_settings", o.ReplySettings)
	return append(m.b, '}')
}

func appendReference(b []byte, r reference) []byte {
	m := fields{b: append(b, '{')}
	m.b = appendText(m.name("type"), r.Type)
	m.b = appendID(m.name("id"), r.ID)
	return append(m.b, '}')
}

// fields are the members of an object, of which b has the beginning. Its methods leave out what is empty.
type fields struct {
	b     []byte
	begun bool
}

// name appends the name of the next member.
func (m *fields) name(name string) []byte {
	if m.begun {
		m.b = append(m.b, ',')
	}
	m.begun = true
	m.b = append(m.b, '"')
	m.b = append(m.b, name...)
	return append(m.b, `":`...)
}

func (m *fields) text(name, value string) {
	if value != "" {
		m.b = appendText(m.name(name), value)
	}
}

func (m *fields) given(name string, value *string) {
	if value != nil {
		m.b = appendText(m.name(name), *value)
	}
}

func (m *fields) bool(name string, value *bool) {
	if value != nil {
		m.b = strconv.AppendBool(m.name(name), *value)
	}
}

func (m *fields) count(name string, value *int64) {
	if value != nil {
		m.b = strconv.AppendInt(m.name(name), *value, 10)
	}
}

func id[Of any](m *fields, name string, value liked.ID[Of]) {
	if value != 0 {
		m.b = appendID(m.name(name), value)
	}
}

func some[T any](m *fields, name string, all []T, element func([]byte, T) []byte) {
	if len(all) > 0 {
		m.b = appendArray(m.name(name), all, element)
	}
}

func appendArray[T any](b []byte, all []T, element func([]byte, T) []byte) []byte {
	b = append(b, '[')
	for i, v := range all {
		if i > 0 {
			b = append(b, ',')
		}
		b = element(b, v)
	}
	return append(b, ']')
}

func appendID[Of any](b []byte, value liked.ID[Of]) []byte {
	b = append(b, '"')
	b = strconv.AppendInt(b, int64(value), 10)
	return append(b, '"')
}

// appendText appends a string as encode does.
func appendText(b []byte, text string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(text); {
		if c := text[i]; c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if r >= utf8.RuneSelf && r <= 0xffff && r != '\u2028' && r != '\u2029' && (r != utf8.RuneError || size > 1) {
			i += size
			continue
		}
		b = append(b, text[from:i]...)
		i += size
		from = i
		switch short := strings.IndexRune("\"\\\b\f\n\r\t", r); {
		case short >= 0:
			b = append(b, '\\', `"\bfnrt`[short])
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04X\u%04X`, high, low)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
	}
	b = append(b, text[from:]...)
	return append(b, '"')
}
