package main

import (
	"encoding/json"
	"iter"
	"os"
	"strconv"

	"liked/internal/bench"
)

// world is who and what there is, as ours has made it, with the likes that all begin with.
type world struct {
	Users []user `json:"users"`
	Posts []post `json:"posts"`

	pairs iter.Seq2[int, int] // indexes of a user and a post
}

// user is one as an answer has it, and as the credentials have it.
type user struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Username string `json:"username"`

	number int64
	token  string
}

// post is likewise.
type post struct {
	Edits []string `json:"edit_history_tweet_ids"`
	ID    string   `json:"id"`
	Text  string   `json:"text"`

	number int64
}

// counted is a post with its count.
type counted struct {
	post
	Metrics struct {
		Retweets    int64 `json:"retweet_count"`
		Replies     int64 `json:"reply_count"`
		Likes       int64 `json:"like_count"`
		Quotes      int64 `json:"quote_count"`
		Bookmarks   int64 `json:"bookmark_count"`
		Impressions int64 `json:"impression_count"`
	} `json:"public_metrics"`
}

func newPost(number int64, text string) post {
	id := strconv.FormatInt(number, 10)
	return post{Edits: []string{id}, ID: id, Text: text, number: number}
}

// row is one of what PostgreSQL or SQLite has found.
type row interface{ Scan(into ...any) error }

func scanUser(r row) (any, error) {
	var id int64
	var name, username string
	err := r.Scan(&id, &name, &username)
	return user{ID: strconv.FormatInt(id, 10), Name: name, Username: username}, err
}

func scanPost(r row) (any, error) {
	var id int64
	var text string
	err := r.Scan(&id, &text)
	return newPost(id, text), err
}

func scanCounted(r row, post int64) (c counted, err error) {
	var text string
	err = r.Scan(&text, &c.Metrics.Likes)
	c.post = newPost(post, text)
	return c, err
}

// readWorld reads the credentials file of ours. So many likes are there at the beginning.
func readWorld(credentials string, likes int) (w world, err error) {
	known, err := bench.ReadWorld(credentials)
	if err != nil {
		return w, err
	}
	text, err := os.ReadFile(credentials)
	if err == nil {
		err = json.Unmarshal(text, &w)
	}
	if err != nil {
		return w, err
	}
	for i := range w.Users {
		number, _ := strconv.ParseInt(w.Users[i].ID, 10, 64) // ReadWorld has looked
		w.Users[i].number, w.Users[i].token = number, known.Users[i].AccessToken
	}
	for i := range w.Posts {
		number, _ := strconv.ParseInt(w.Posts[i].ID, 10, 64)
		w.Posts[i] = newPost(number, w.Posts[i].Text)
	}
	w.pairs = func(func(int, int) bool) {}
	if likes > 0 {
		w.pairs, err = known.Pairs(likes)
	}
	return w, err
}
