package api

import "slices"

// In 2026 X began to say "post" where it had said "tweet", in requests and in answers; it understands both. How a
// request names the fields of posts decides how the answer is worded. Inside this package all words are the older ones.
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

// older returns the older word for a word that may have one.
func older(words map[string]string, word string) string {
	if o, ok := words[word]; ok {
		return o
	}
	return word
}

// wanted is what a request wants to see of posts and of users beyond what it sees anyway, in the older words.
type wanted struct {
	posts      map[string]bool   // fields
	users      map[string]bool   // fields
	expansions map[string]string // to the word that the request has for it
	newer      bool              // the answer is in the newer words
}

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
	// An expansion brings the field that it expands.
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

func (w *wanted) expands(expansion string) bool { return w.expansions[expansion] != "" }
