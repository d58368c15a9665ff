package api_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"liked"
	"liked/internal/api"
	"liked/internal/store"
)

// TestActivity holds what webhooks are told, and by whom it may be seen, to X's words and to who may know of a like.
func TestActivity(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		public  bool // likes are
		viewer  liked.UserID
		user    liked.UserID
		before  string // operator's lines
		sees    bool
		without string // what is not in it
	}{
		{name: "the author hears who likes", viewer: 11, user: 11, sees: true},
		{name: "who likes hears of it", viewer: 12, user: 12, sees: true},
		{name: "nobody else does", viewer: 13, user: 11},
		{name: "nor does the app", user: 11},
		{name: "others do if likes are public", public: true, viewer: 13, user: 11, sees: true},
		{name: "and so does the app", public: true, user: 11, sees: true},
		{name: "but not of protected users", public: true, user: 11, before: "protect 12"},
		{name: "nor of posts of protected users", public: true, user: 11, before: "protect 11"},
		{name: "a follower does", public: true, viewer: 13, user: 11, before: "protect 12\nfollow 13 12", sees: true},
		{name: "not the author whom they block", viewer: 11, user: 11, before: "block 12 11"},
		{name: "not of who is suspended", viewer: 11, user: 11, before: "state 12 suspended"},
		{name: "of a post that is gone", viewer: 12, user: 12, before: "delete 101", sees: true, without: `"tweets"`},
		{name: "of an author who is gone", viewer: 12, user: 12, before: "state 11 deactivated", sees: true, without: `"alice"`},
		{name: "not without consent", viewer: 11, user: 11, before: "revoke alice"},
		{name: "not with consent to something else", viewer: 11, user: 11, before: "revoke alice\ntoken alice 11 tweet.read users.read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			for _, line := range []string{"user 11 alice", "user 12 bob", "user 13 carol", "post 101 11 a post", "like 12 101"} {
				w.do(line)
			}
			if test.before != "" {
				for line := range strings.SplitSeq(test.before, "\n") {
					w.do(line)
				}
			}
			e := onlyLike(t, w.store)
			s := liked.Subscription{ID: 7, App: w.app.ID, Viewer: test.viewer, User: test.user, Direction: liked.Inbound, Tag: "mine"}
			write := api.Activity(api.Options{Store: w.store, PrivateLikes: !test.public})
			body, err := write(context.Background(), s, e)
			if err != nil || (body != nil) != test.sees {
				t.Fatalf("got %s, %v; want it seen: %v", body, err, test.sees)
			}
			if test.without != "" && strings.Contains(string(body), test.without) {
				t.Errorf("%s holds %s", body, test.without)
			}
			again, _ := write(context.Background(), s, e)
			if string(again) != string(body) {
				t.Errorf("got %s and then %s", body, again)
			}
		})
	}
}

// onlyLike returns the one entry of the like log.
func onlyLike(t *testing.T, st store.Store) liked.LikeEvent {
	t.Helper()
	ends, err := st.LogEnds(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for p, end := range ends {
		if end == 0 {
			continue
		}
		events, err := st.LikeLog(context.Background(), p, 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		return events[0]
	}
	t.Fatal("nobody likes anything")
	return liked.LikeEvent{}
}

// TestActivityWords holds the bytes of an event.
func TestActivityWords(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, line := range []string{"user 11 alice", "user 12 bob", "profile 12", `post 101 11 a "n":1, post`, "like 12 101"} {
		w.do(line)
	}
	e := onlyLike(t, w.store)
	write := api.Activity(api.Options{Store: w.store, PrivateLikes: true})
	of := liked.Subscription{ID: 7, App: w.app.ID, Viewer: 12, User: 12, Direction: liked.Outbound, Tag: "é"}
	body, err := write(context.Background(), of, e)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Data struct {
			UUID     string `json:"event_uuid"`
			Payload  map[string]any
			Includes struct{ Users, Tweets []map[string]any }
		}
	}
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	id, _ := got.Data.Payload["id"].(string)
	want := `{"data":{"event_uuid":"` + got.Data.UUID + `","filter":{"user_id":"12","direction":"outbound"},` +
		`"event_type":"like.create","tag":"é",` +
		`"payload":{"id":"` + id + `","liked_tweet_id":"101","tweet_author_id":"11","liked_tweet_author_id":"11",` +
		`"created_at":"2024-05-01T12:00:00.000Z","timestamp_ms":"1714564800250"},` +
		`"includes":{"users":[{"id":"12","name":"Bob","username":"bob",`
	if !strings.HasPrefix(string(body), want) {
		t.Errorf("got  %s\nwant %s…", body, want)
	}
	if n, err := liked.ParseID[liked.PostID](got.Data.UUID); err != nil || n == 0 || len(id) != 32 {
		t.Errorf("got ids %q and %q", got.Data.UUID, id)
	}
	in := got.Data.Includes
	if len(in.Users) != 2 || in.Users[1]["username"] != "alice" || in.Users[0]["description"] != "Likes what it reads" ||
		len(in.Tweets) != 1 || in.Tweets[0]["text"] != `a "n":1, post` || in.Tweets[0]["author_id"] != "11" {
		t.Errorf("got includes %+v", in)
	}
	for _, metrics := range []any{in.Users[0]["public_metrics"], in.Tweets[0]["public_metrics"]} {
		of, _ := metrics.(map[string]any)
		if of["like_count"] != 1.0 || of["like_count_str"] != "1" || len(of)%2 != 0 {
			t.Errorf("the integers of X's events are strings, too; got %v", metrics)
		}
	}
	other, err := write(context.Background(), liked.Subscription{ID: 8, App: w.app.ID, Viewer: 12, User: 12}, e)
	if err != nil {
		t.Fatal(err)
	}
	for _, absent := range []string{got.Data.UUID, "tag", "direction"} {
		if strings.Contains(string(other), absent) {
			t.Errorf("another subscription has %q: got %s", absent, other)
		}
	}
}
