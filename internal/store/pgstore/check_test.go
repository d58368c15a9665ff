package pgstore

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"liked"
	"liked/internal/store"
	"liked/internal/store/pgstore/pgtest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fill adds users 1 to 4, posts 1 and 2 of user 1, a reply, a quote that is deleted, follows, blocks and likes.
func fill(t testing.TB, s *Store) {
	t.Helper()
	ctx := context.Background()
	for i := range 4 {
		ok(t, s.AddUser(ctx, liked.User{ID: liked.UserID(i + 1), Username: string(rune('a' + i)), Name: "x", Protected: i == 3}))
	}
	for i := range 2 {
		ok(t, s.AddPost(ctx, liked.Post{ID: liked.PostID(i + 1), Author: 1}))
	}
	ok(t, s.AddPost(ctx, liked.Post{ID: 3, Author: 2, InReplyTo: 1}))
	ok(t, s.AddPost(ctx, liked.Post{ID: 4, Author: 2, Quotes: 1}))
	ok(t, s.AddPost(ctx, liked.Post{ID: 5, Author: 3, RepostOf: 1}))
	ok(t, s.DeletePost(ctx, 0, 4))
	_, err := s.SetFollow(ctx, 2, 1, true)
	ok(t, err)
	_, err = s.SetBlock(ctx, 1, 4, true)
	ok(t, err)
	for _, like := range [][2]int{{2, 1}, {3, 1}, {2, 2}} {
		_, err := s.SetLike(ctx, liked.UserID(like[0]), liked.PostID(like[1]), true, noon)
		ok(t, err)
	}
	_, err = s.SetLike(ctx, 2, 2, false, noon)
	ok(t, err)
	ok(t, s.AddApp(ctx, store.App{App: liked.App{ID: 7, ClientID: "c", APIKey: "k"}}))
	ok(t, s.AddGrant(ctx, store.Grant{ID: store.GrantID{1}, App: 7, User: 1}, store.Tokens{Access: store.AccessToken{Token: store.Hash{1}}}))
}

// Check must find whatever is wrong. Each row is spoiled in a transaction that is rolled back.
func TestCheckFinds(t *testing.T) {
	t.Parallel()
	checkFinds(t, pgtest.Schema(t))
}

func checkFinds(t *testing.T, dsn string) {
	ctx := context.Background()
	s, err := Open(Options{DSN: dsn})
	ok(t, err)
	defer s.Close()
	fill(t, s)
	conn, err := pgx.Connect(ctx, dsn)
	ok(t, err)
	defer conn.Close(ctx)
	problems := func(spoil ...any) string {
		t.Helper()
		tx := &tx{ctx: ctx, conn: conn, shards: s.shards}
		tx.queue("BEGIN")
		if len(spoil) > 0 {
			tx.queue(spoil[0].(string), spoil[1:]...)
		}
		ok(t, tx.send())
		r, err := check(tx)
		ok(t, err)
		ok(t, tx.rollback(nil))
		if len(spoil) == 0 && (r.Users != 4 || r.Posts != 4 || r.Likes != 2 || r.LogEntries != 4) {
			t.Errorf("got report %+v", r)
		}
		return strings.Join(r.Problems, "\n")
	}
	if p := problems(); p != "" {
		t.Fatalf("got problems of a sound store: %s", p)
	}

	entry := func(lane int, e liked.LikeEvent) []any { // behind all others of its lane
		e.Seq = (liked.Seq(noon.Add(time.Hour).UnixMilli())<<20 | 0xfffe0) + liked.Seq(lane)
		e.At = noon
		return []any{"WITH l AS (UPDATE lanes SET last = $2, newest = $2 WHERE lane = $1) INSERT INTO log (lane, pos, first, n, entries) " +
			"VALUES ($1, $2, $2, 1, $3)", lane, e.Seq, packEntries([]liked.LikeEvent{e})}
	}
	sql := func(text string, args ...any) []any { return append([]any{text}, args...) }
	for name, c := range map[string]struct {
		spoil []any
		want  string
	}{
		"meta with two rows":    {sql("INSERT INTO meta (version, least) VALUES (1, 1)"), "meta has 2 rows"},
		"user without username": {sql("DELETE FROM usernames WHERE name = 'a'"), "username a of user 1 is not in usernames"},
		"username of another":   {sql("UPDATE usernames SET user_id = 2 WHERE name = 'a'"), "usernames has a of user 2"},
		"username of nobody":    {sql("INSERT INTO usernames VALUES ('zz', 9)"), "usernames has zz of user 9"},
		"user without counts":   {sql("DELETE FROM user_counts WHERE user_id = 4"), "users and user_counts do not both have user_id 4"},
		"counts of nobody":      {sql("INSERT INTO user_counts VALUES (9)"), "users and user_counts do not both have user_id 9"},
		"user without likes":    {sql("DELETE FROM user_likes WHERE user_id = 4"), "users and user_likes do not both have user_id 4"},
		"password of nobody":    {sql("INSERT INTO passwords VALUES (9, '')"), "passwords names user_id 9"},
		"followers": {sql("UPDATE user_counts SET followers = 3 WHERE user_id = 1"),
			"has followers 3 of user_id 1 and should have 1"},
		"following": {sql("UPDATE user_counts SET following = 3 WHERE user_id = 4"),
			"has following 3 of user_id 4 and should have 0"},
		"posts of a user": {sql("UPDATE user_counts SET posts = 3 WHERE user_id = 2"),
			"has posts 3 of user_id 2 and should have 1"},
		"likes of a user":            {sql("UPDATE user_likes SET n = 0 WHERE user_id = 3"), "has n 0 of user_id 3 and should have 1"},
		"state not special":          {sql("UPDATE users SET state = $1 WHERE user_id = 3", liked.Suspended), "does not say of user 3"},
		"protected not special":      {sql("UPDATE users SET protected = true WHERE user_id = 3"), "does not say of user 3"},
		"special of nobody":          {sql("INSERT INTO special VALUES (9, true)"), "does not say of user 9"},
		"blocks not special":         {sql("DELETE FROM special WHERE user_id = 1"), "has blocks 0 of user_id 1 and should have 1"},
		"special for no reason":      {sql("INSERT INTO special VALUES (3)"), "special has user 3 for no reason"},
		"follow without reverse":     {sql("DELETE FROM followed_by"), "follows and followed_by do not both have follower, followed 2, 1"},
		"reverse without follow":     {sql("DELETE FROM follows"), "follows and followed_by do not both have follower, followed 2, 1"},
		"block without reverse":      {sql("DELETE FROM blocked_by"), "blocks and blocked_by do not both have blocker, blocked 1, 4"},
		"reverse without block":      {sql("DELETE FROM blocks"), "blocks and blocked_by do not both have blocker, blocked 1, 4"},
		"follow of nobody":           {sql("INSERT INTO follows VALUES (1, 9)"), "follows names followed 9"},
		"block by nobody":            {sql("INSERT INTO blocks VALUES (9, 1)"), "blocks names blocker 9"},
		"follow of oneself":          {sql("INSERT INTO follows VALUES (1, 1)"), "follows has user 1 with themselves"},
		"post without author":        {sql("INSERT INTO post_heads VALUES (8, 9, 0, true)"), "post_heads names author_id 9"},
		"post not of its author":     {sql("DELETE FROM posts_of WHERE post_id = 3"), "do not both have author_id, post_id 2, 3"},
		"author's post that is gone": {sql("INSERT INTO posts_of VALUES (2, 4)"), "do not both have author_id, post_id 2, 4"},
		"post without text":          {sql("DELETE FROM post_texts WHERE post_id = 2"), "do not both have post_id 2"},
		"text of a deleted post":     {sql("INSERT INTO post_texts VALUES (4, '', 0, 0, 0, 0, 0)"), "do not both have post_id 4"},
		"repost of nothing":          {sql("UPDATE post_heads SET repost_of = 99 WHERE post_id = 5"), "post 5 refers to post 99"},
		"answer to nothing":          {sql("UPDATE post_texts SET in_reply_to = 99 WHERE post_id = 3"), "post 3 refers to post 99"},
		"quote of nothing":           {sql("UPDATE post_texts SET quotes = 99 WHERE post_id = 3"), "post 3 refers to post 99"},
		"repost of a repost": {sql("UPDATE post_heads SET repost_of = 5 WHERE post_id = 2"),
			"post 2 is a repost of post 5, which is one itself"},
		"answer in no conversation": {sql("UPDATE post_texts SET conversation = 0 WHERE post_id = 3"),
			"post 3 answers post 1 of user 1 in conversation 0"},
		"conversation of no answer": {sql("UPDATE post_texts SET in_reply_to_user = 1 WHERE post_id = 2"),
			"post 2 answers post 0 of user 1"},
		"reposts": {sql("UPDATE post_heads SET reposts = 7 WHERE post_id = 1"),
			"has reposts 7 of post_id 1 and should have 1"},
		"replies": {sql("UPDATE post_heads SET replies = 7 WHERE post_id = 1"),
			"has replies 7 of post_id 1 and should have 1"},
		"quotes": {sql("UPDATE post_heads SET quotes = 7 WHERE post_id = 1"),
			"has quotes 7 of post_id 1 and should have 0"},
		"likes of a post": {sql("UPDATE post_heads SET likes = 7 WHERE post_id = 1"),
			"has likes 7 of post_id 1 and should have 2"},
		"last position of a post":     {sql("UPDATE post_heads SET last = 7 WHERE post_id = 1"), "the last position of post 1 is 7"},
		"like not in the post's list": {sql("DELETE FROM likers WHERE user_id = 3"), "of post 1 by user 3 is not in likers"},
		"like of another in the list": {sql("UPDATE likers SET user_id = 4 WHERE user_id = 3"), "of post 1 by user 3 is not in likers"},
		"like lost":                   {sql("DELETE FROM likes WHERE user_id = 3"), "likers has"},
		"like at another position":    {sql("UPDATE likes SET seq = 7 WHERE user_id = 3"), "like 7 of post 1 by user 3 is not in likers"},
		"like of nobody":              {sql("INSERT INTO likes VALUES (9, 1, 7, true)"), "has n 0 of user_id 9 and should have 1"},
		"like of nothing":             {sql("INSERT INTO likers VALUES (99, 7, 3)"), "has likes 0 of post_id 99 and should have 1"},
		"like of a repost":            {sql("UPDATE likes SET post_id = 5 WHERE user_id = 3"), "is of post 5, which is a repost"},
		"like marked as imported":     {sql("UPDATE likes SET logged = false WHERE user_id = 3"), "is imported and newer than any import"},
		"lane lost":                   {sql("DELETE FROM lanes WHERE lane = 19"), "lane 19 is not in both"},
		"tally lost":                  {sql("DELETE FROM tallies WHERE lane = 19"), "lane 19 is not in both"},
		"lane below its newest entry": {sql("UPDATE lanes SET last = 5 WHERE newest > 0"), "is 5, below its newest entry"},
		"lane below an import":        {sql("UPDATE meta SET imported = 1::bigint << 62"), "or the newest import 4611686018427387904"},
		"newest of a lane":            {sql("UPDATE lanes SET newest = 5 WHERE newest > 0"), "is 5, and its log ends at"},
		"log of no lane":              {sql("UPDATE log SET lane = 20 WHERE lane = $1", liked.PartitionOf(3)), "the log has lane 20"},
		"total of likes":              {sql("UPDATE lanes SET likes = likes + 1 WHERE lane = 3"), "the total of likes is 3 and should be 2"},
		"total of users": {sql("UPDATE tallies SET users = users + 1 WHERE lane = 3"),
			"the total of users is 5 and should be 4"},
		"total of posts": {sql("UPDATE tallies SET posts = posts + 1 WHERE lane = 3"),
			"the total of posts is 5 and should be 4"},
		"like without entry":      {sql("DELETE FROM log WHERE lane = $1", liked.PartitionOf(3)), "of post 1 by user 3 is not in the log"},
		"row with another number": {sql("UPDATE log SET n = 9"), "of the log is damaged"},
		"row that ends":           {sql("UPDATE log SET entries = substr(entries, 1, length(entries) - 1)"), "of the log is damaged"},
		"row without entries":     {sql("UPDATE log SET entries = ''"), "of the log is damaged"},
		"entry without like": {entry(liked.PartitionOf(4), liked.LikeEvent{On: true, User: 4, Post: 1, Author: 1}),
			"of post 1 by user 4 true, the like is 0"},
		"like in spite of its entry": {entry(liked.PartitionOf(3), liked.LikeEvent{User: 3, Post: 1, Author: 1}),
			"of post 1 by user 3 false, the like is"},
		"entry in another lane": {entry((liked.PartitionOf(2)+1)%20, liked.LikeEvent{User: 2, Post: 2, Author: 1}), "of user 2 is in lane"},
		"entry that changes nothing": {entry(liked.PartitionOf(2), liked.LikeEvent{User: 2, Post: 2, Author: 1}),
			"to what it was"},
		"entry of another author": {entry(liked.PartitionOf(2), liked.LikeEvent{On: true, User: 2, Post: 2, Author: 3}),
			"names author 3 of post 2"},
		"token of no grant": {sql(`INSERT INTO tokens (hash, kind, grant_id, expires, spent, sealed, access)
			VALUES ('\x01', 1, '\x02', 0, 0, '', 0)`), `tokens names grant_id \x02`},
		"app without key":    {sql("DELETE FROM app_keys WHERE kind = 1"), "key 1 of app 7 is that of app 0"},
		"key of no app":      {sql("INSERT INTO app_keys VALUES (2, '\\x01', 7)"), "key 2 of app 0 is that of app 7"},
		"key of another app": {sql("UPDATE app_keys SET app = 8 WHERE kind = 0"), "key 0 of app 7 is that of app 8"},
		"bearer without key": {sql("UPDATE apps SET bearer_hash = '\\x01'"), "key 2 of app 7 is that of app 0"},
		"grant of an era to come": {sql("INSERT INTO grants VALUES ('\\x0a', 7, 1, false, 0, 0, 0, 1, false)"),
			"grant 0a is of era 1 of app 7, which has era 0"},
		"grant of an era that is not swept": {sql(`WITH a AS (UPDATE apps SET era = 2)
			INSERT INTO grants VALUES ('\x0a', 7, 1, false, 0, 0, 0, 1, false)`), "grant 0a is of era 1 of app 7, which has era 2"},
		"webhook of no app": {sql("INSERT INTO webhooks VALUES (8, 0, 9, 'u', 0, true, 0, '', 0, 0, false, 0, 0)"), "webhooks names app 9"},
		"webhook without offsets": {sql("INSERT INTO webhooks VALUES (8, 0, 9, 'u', 0, true, 0, '', 0, 0, false, 0, 0)"),
			"webhooks and offsets do not both have webhook 8"},
		"offsets of no webhook": {sql("INSERT INTO offsets VALUES (8, '{}')"), "webhooks and offsets do not both have webhook 8"},
		"offsets that are few":  {sql("INSERT INTO offsets VALUES (8, '{}')"), "offsets of webhook 8 has no 20 positions"},
		"letters without number": {sql("INSERT INTO letters VALUES (8, 1, 1, true, 1, 1, 1, 0, 0, 0, '')"),
			"has dead 0 of webhook 8 and should have 1"},
		"subscription of no app": {sql("INSERT INTO subscriptions VALUES (9, 8, 0, 0, 2, 0, 0, '', 0, 0, 0)"), "subscriptions names app 9"},
		"subscription not counted": {sql("INSERT INTO subscriptions VALUES (9, 8, 0, 0, 2, 0, 0, '', 0, 0, 0)"),
			"subscription_counts has 0 of app 9 and viewer 0 and should have 1"},
		"subscription of a viewer not counted": {sql("INSERT INTO subscriptions VALUES (9, 8, 0, 3, 2, 0, 0, '', 0, 0, 0)"),
			"subscription_counts has 0 of app 9 and viewer 3 and should have 1"},
		"count of no subscriptions": {sql("INSERT INTO subscription_counts VALUES (9, 3, 1)"),
			"subscription_counts has 1 of app 9 and viewer 3 and should have 0"},
	} {
		if p := problems(c.spoil...); !strings.Contains(p, c.want) {
			t.Errorf("%s: got problems %q, want %q", name, p, c.want)
		}
	}
	// However much is wrong, the report has an end.
	if p := problems("INSERT INTO usernames SELECT 'x' || i, 99 FROM generate_series(1, 1000) i"); strings.Count(p, "\n") != maxProblems-1 {
		t.Errorf("got %d problems, want %d", strings.Count(p, "\n")+1, maxProblems)
	}
}

// A check that begins while the database cannot be reached waits for it, as every call does.
func TestCheckWaits(t *testing.T) {
	t.Parallel()
	link := pgtest.NewLink(t, pgtest.Schema(t))
	s, err := Open(Options{DSN: link.DSN, Readers: 1, Writers: 1})
	ok(t, err)
	defer s.Close()
	link.Cut()
	time.AfterFunc(100*time.Millisecond, link.Open)
	r, err := s.Check(t.Context())
	if err != nil || len(r.Problems) > 0 {
		t.Errorf("Check: got %v, %v", r.Problems, err)
	}
}
