package api

import (
	"slices"

	"liked/internal/store"
)

// In 2026 X began to say "post" for "tweet"; it understands both. A request's names for the fields of posts decide
// the words of the answer. This package uses the older words inside.
var (
	olderFields = map[string]string{
		"edit_history_post_ids": "edit_history_tweet_ids",
		"note_post":             "note_tweet",
		"referenced_posts":      "referenced_tweets",
	}
	olderExpansions = map[string]string{
		"edit_history_post_ids": "edit_history_tweet_ids",
		"most_recent_post_id":   "most_recent_tweet_id",
		"pinned_post_id":        "pinned_tweet_id",
		"referenced_posts":      "referenced_tweets.id",
		"referenced_tweets":     "referenced_tweets.id",
	}
)

func older(words map[string]string, word string) string {
	if o, ok := words[word]; ok {
		return o
	}
	return word
}

// wanted is what a request selects beyond the defaults, in the older words.
type wanted struct {
	posts      map[string]bool   // fields
	users      map[string]bool   // fields
	expansions map[string]string // to the request's word for it
	newer      bool              // answer in the newer words
}

// Counts cost the store a look-up each.
func (w *wanted) postMetrics() store.Metrics { return store.Metrics(w.posts["public_metrics"]) }
func (w *wanted) userMetrics() store.Metrics { return store.Metrics(w.users["public_metrics"]) }

func newWanted(expansions, tweetFields, postFields, userFields []string) wanted {
	w := wanted{posts: map[string]bool{}, users: map[string]bool{}, expansions: map[string]string{}, newer: len(postFields) > 0}
	for _, field := range slices.Concat(tweetFields, postFields) {
		w.posts[older(olderFields, field)] = true
	}
	for _, field := range userFields {
		w.users[field] = true
	}
	for _, word := range expansions {
		if expansion := older(olderExpansions, word); w.expansions[expansion] == "" {
			w.expansions[expansion] = word
		}
	}
	// An expansion includes its field.
	for _, x := range []struct{ expansion, field string }{
		{"author_id", "author_id"}, {"in_reply_to_user_id", "in_reply_to_user_id"}, {"referenced_tweets.id", "referenced_tweets"},
		{authorsOfReferenced, "referenced_tweets"}, {authorsOfReferenced, "author_id"},
	} {
		if w.expands(x.expansion) {
			w.posts[x.field] = true
		}
	}
	for _, x := range []string{"pinned_tweet_id", "most_recent_tweet_id"} {
		if w.expands(x) {
			w.users[x] = true
		}
	}
	return w
}

// worded returns the one of two members of an answer that is in its words.
func worded[T any](w *wanted, older, newer *T) *T {
	if w.newer {
		return newer
	}
	return older
}

func (w *wanted) expands(expansion string) bool { return w.expansions[expansion] != "" }
