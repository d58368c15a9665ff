package pgstore

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"liked"
	"liked/internal/store"
	"liked/internal/store/pgstore/pgtest"
)

// A statement of a call whose page has maxPage items reads no more rows than maxRows, and blocks of 8 kB than maxBlocks: this
// does not depend on how much there is, or on who has much of it. Before the rows are counted, tables that are small are
// sometimes read whole.
const (
	maxPage      = 10
	maxRows      = 60 * maxPage
	maxUncounted = 10 * maxRows
	maxBlocks    = 50 * maxPage
)

// TestStatements makes every call on tables of which one user, author and post have most of the rows, and has the server log how it
// has done each statement: with the values known or not, and before anybody has counted the rows and after.
func TestStatements(t *testing.T) {
	server := pgtest.Start(t, "shared_preload_libraries=auto_explain", "auto_explain.log_analyze=on", "auto_explain.log_buffers=on",
		"auto_explain.log_timing=off", "auto_explain.log_format=json", "autovacuum=off")
	conn, err := pgx.Connect(t.Context(), server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	s, err := Open(Options{DSN: server.DSN()})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), crowd+grantCrowd); err != nil {
		t.Fatal(err)
	}
	round, most := 0, maxUncounted
	for _, counted := range []bool{false, true} {
		if counted {
			most = maxRows
			if _, err := conn.Exec(t.Context(), "VACUUM ANALYZE"); err != nil {
				t.Fatal(err)
			}
		}
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			round++
			t.Logf("counted %v, %s", counted, mode)
			dsn := pgtest.With(pgtest.With(server.DSN(), "auto_explain.log_min_duration", "0"), "plan_cache_mode", mode)
			s, err := Open(Options{DSN: dsn})
			if err != nil {
				t.Fatal(err)
			}
			before := len(executions(t, server))
			all := calls(s, round)
			maps.Copy(all, grantCalls(s, round))
			for name, call := range all {
				if err := call(t.Context()); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			done := finished(t, server, conn)[before:]
			if len(done) < len(all) {
				t.Errorf("the server has logged %d statements, fewer than there were calls", len(done))
			}
			for _, e := range done {
				if rows, blocks := e.Plan.rows(), e.Plan.Hit+e.Plan.Read; rows > most || blocks > maxBlocks {
					t.Errorf("read %d rows, %d blocks: %s\n%s", rows, blocks, e.Query, e.Plan.String())
				}
			}
		}
	}
	// That a statement that reads much is seen.
	dsn := pgtest.With(server.DSN(), "auto_explain.log_min_duration", "0")
	bad, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bad.Exec(t.Context(), "SELECT count(*) FROM follows"); err != nil {
		t.Error(err)
	}
	if err := bad.Close(t.Context()); err != nil {
		t.Error(err)
	}
	done := finished(t, server, conn)
	if last := done[len(done)-1]; last.Plan.rows() <= maxRows {
		t.Errorf("%s: got %d rows", last.Query, last.Plan.rows())
	}
}

// crowd makes users 1 to 20000 and posts. User 5 follows half of them, is blocked by a quarter and likes half of the posts,
// everybody follows 7 and likes post 30000, 9 blocks a quarter, and the 20000 oldest posts are by 8.
const crowd = `
INSERT INTO users SELECT i, 0, 'User_' || i, 'n', 0, i % 10 = 0, 0, '', '', '', '', false, 0 FROM generate_series(1, 20000) i;
INSERT INTO usernames SELECT lower(username), user_id FROM users;
INSERT INTO passwords SELECT user_id, 'x' FROM users;
INSERT INTO post_heads SELECT i, CASE WHEN i <= 20000 THEN 8 ELSE i * 7919 % 20000 + 1 END, 0, false FROM generate_series(1, 60000) i;
INSERT INTO post_texts SELECT post_id, 'text ' || post_id, 0, 0, 0, 0, 0 FROM post_heads;
INSERT INTO posts_of SELECT author_id, post_id FROM post_heads;
INSERT INTO follows SELECT 5, i FROM generate_series(10000, 20000) i;
INSERT INTO follows SELECT i, 7 FROM generate_series(8, 20000) i;
INSERT INTO follows SELECT i, (i * 31) % 20000 + 1 FROM generate_series(8, 20000) i ON CONFLICT DO NOTHING;
INSERT INTO followed_by SELECT followed, follower FROM follows;
INSERT INTO blocks SELECT 9, i FROM generate_series(10, 5000) i;
INSERT INTO blocks SELECT i, 5 FROM generate_series(15000, 19000) i;
INSERT INTO blocked_by SELECT blocked, blocker FROM blocks;
INSERT INTO special (user_id, protected, blocks) SELECT u.user_id, u.protected, (SELECT count(*) FROM blocks b WHERE b.blocker = u.user_id)
	FROM users u WHERE u.protected OR u.user_id = 9 OR u.user_id BETWEEN 15000 AND 19000;
INSERT INTO likes SELECT 5, i, i * 32, true FROM generate_series(1, 60000, 2) i;
INSERT INTO likes SELECT i, 30000, (60000 + i) * 32, true FROM generate_series(1, 20000) i;
INSERT INTO likers SELECT post_id, seq, user_id FROM likes;
UPDATE post_heads h SET likes = (SELECT count(*) FROM likers l WHERE l.post_id = h.post_id), last = 90000 * 32;
UPDATE lanes SET last = 90000 * 32;
INSERT INTO user_likes SELECT user_id, (SELECT count(*) FROM likes l WHERE l.user_id = u.user_id) FROM users u;
INSERT INTO user_counts (user_id) SELECT user_id FROM users;
`

// calls has a call of each method that many make, by what it is. round makes what is added new.
func calls(s *Store, round int) map[string]func(ctx) error {
	var users []liked.UserID
	var posts []liked.PostID
	var names []string
	for i := range maxPage {
		users, posts = append(users, liked.UserID(1+i*1999)), append(posts, liked.PostID(1+i*5900))
		names = append(names, fmt.Sprint("USER_", 1+i*1999))
	}
	newer := store.Cursor{Seq: 20000 * 32, Newer: true}
	at := time.UnixMilli(1)
	post := liked.Post{ID: liked.PostID(100000 + round), Author: 8, Text: fmt.Sprint(round), InReplyTo: 20, Quotes: 30002}
	repost := liked.Post{ID: liked.PostID(200000 + round), Author: 5, RepostOf: 30000}
	user := liked.User{ID: liked.UserID(100000 + round), Username: fmt.Sprint("new_", round), Name: "x"}
	describe := func(u *liked.User) error { u.Description += "x"; return nil }
	protect := func(u *liked.User) error { u.Protected = !u.Protected; return nil }
	rename := func(u *liked.User) error { u.Username = fmt.Sprint("other_", round); return nil }
	const with = store.WithMetrics
	return map[string]func(ctx) error{
		"User":                only(s.User, 77),
		"UserByUsername":      only(s.UserByUsername, "USER_5"),
		"UsersByID":           func(c ctx) error { return second(s.UsersByID(c, users, with)) },
		"UsersByUsername":     func(c ctx) error { return second(s.UsersByUsername(c, names, with)) },
		"Users":               func(c ctx) error { return second(s.Users(c, 15000, maxPage)) },
		"UsersNamed":          func(c ctx) error { return second(s.UsersNamed(c, "user_", "user_2", maxPage)) },
		"Password":            only(s.Password, 5),
		"Relations":           func(c ctx) error { return second(s.Relations(c, 5, users)) },
		"Related, following":  func(c ctx) error { return second(s.Related(c, 5, store.Following, 15000, maxPage)) },
		"Related, followers":  func(c ctx) error { return second(s.Related(c, 7, store.Followers, 15000, maxPage)) },
		"Related, blocking":   func(c ctx) error { return second(s.Related(c, 9, store.Blocking, 3000, maxPage)) },
		"Related, blocked by": func(c ctx) error { return second(s.Related(c, 5, store.BlockedBy, 16000, maxPage)) },
		"Post":                func(c ctx) error { return second(s.Post(c, 5, 59)) },
		"Posts":               func(c ctx) error { return second(s.Posts(c, 5, posts, with)) },
		"LatestPosts":         only(s.LatestPosts, maxPage),
		"NewestPosts":         func(c ctx) error { return second(s.NewestPosts(c, 5, append(users, 8))) },
		"PostsBy, all":        func(c ctx) error { return second(s.PostsBy(c, 0, 15000, maxPage)) },
		"PostsBy":             func(c ctx) error { return second(s.PostsBy(c, 8, 10, maxPage)) },
		"PostsBy, newest":     func(c ctx) error { return second(s.PostsBy(c, 8, 0, maxPage)) },
		"Liked":               func(c ctx) error { return second(s.Liked(c, 5, posts)) },
		"LikedPosts":          func(c ctx) error { return second(s.LikedPosts(c, 5, 5, store.Cursor{}, maxPage, with, nil)) },
		"LikedPosts, older": func(c ctx) error {
			return second(s.LikedPosts(c, 3, 5, store.Cursor{Seq: 20000 * 32}, maxPage, with, nil))
		},
		"LikedPosts, newer": func(c ctx) error { return second(s.LikedPosts(c, 3, 5, newer, maxPage, with, nil)) },
		"LikingUsers":       func(c ctx) error { return second(s.LikingUsers(c, 5, 30000, store.Cursor{}, maxPage, with, nil)) },
		"LikingUsers, older": func(c ctx) error {
			return second(s.LikingUsers(c, 3, 30000, store.Cursor{Seq: 70000 * 32}, maxPage, with, nil))
		},
		"LikingUsers, newer":   func(c ctx) error { return second(s.LikingUsers(c, 3, 30000, newer, maxPage, with, nil)) },
		"SetLike":              func(c ctx) error { return second(s.SetLike(c, 5, liked.PostID(2*round), true, at)) },
		"SetLike, there":       func(c ctx) error { return second(s.SetLike(c, 7, 30000, true, at)) },
		"SetLike, taken back":  func(c ctx) error { return second(s.SetLike(c, 5, liked.PostID(2*round+101), false, at)) },
		"AddUser":              func(c ctx) error { return s.AddUser(c, user) },
		"AddPost, repost":      func(c ctx) error { return s.AddPost(c, repost) },
		"Publish":              func(c ctx) error { return s.Publish(c, post) },
		"DeletePost":           func(c ctx) error { return s.DeletePost(c, 0, liked.PostID(40000+round)) },
		"UpdateUser":           func(c ctx) error { return s.UpdateUser(c, 9, describe) },
		"UpdateUser, protects": func(c ctx) error { return s.UpdateUser(c, 13, protect) },
		"UpdateUser, renames":  func(c ctx) error { return s.UpdateUser(c, 11, rename) },
		"SetFollow":            func(c ctx) error { return second(s.SetFollow(c, 5, liked.UserID(100+round), true)) },
		"SetBlock":             func(c ctx) error { return second(s.SetBlock(c, 9, liked.UserID(10000+round), true)) },
		"Totals":               func(c ctx) error { return second(s.Totals(c)) },
	}
}

type ctx = context.Context

// only calls f with the argument.
func only[A, R any](f func(ctx, A) (R, error), a A) func(ctx) error {
	return func(c ctx) error { return second(f(c, a)) }
}

func second[R any](_ R, err error) error { return err }

// execution is a statement that the server has executed, and how.
type execution struct {
	Query string `json:"Query Text"`
	Plan  plan
}

type plan struct {
	Node    string `json:"Node Type"`
	Index   string `json:"Index Name"`
	Table   string `json:"Relation Name"`
	Rows    int    `json:"Actual Rows"` // of each loop
	Loops   int    `json:"Actual Loops"`
	Removed int    `json:"Rows Removed by Filter"`
	Hit     int    `json:"Shared Hit Blocks"` // with those of Plans
	Read    int    `json:"Shared Read Blocks"`
	Plans   []plan
}

// rows is how many rows of tables were read.
func (p *plan) rows() int {
	n := 0
	if p.Table != "" && p.Table != "servers" { // of which there are 1024 rows, always
		n = (p.Rows + p.Removed) * p.Loops
	}
	for _, below := range p.Plans {
		n += below.rows()
	}
	return n
}

func (p *plan) String() string {
	s := fmt.Sprintf("%s %s %s: %d rows %d times\n", p.Node, p.Table, p.Index, p.Rows+p.Removed, p.Loops)
	for _, below := range p.Plans {
		for line := range strings.Lines(below.String()) {
			s += "  " + line
		}
	}
	return s
}

// finished waits until all other connections have ended, and returns what they executed.
func finished(t *testing.T, server *pgtest.Server, conn *pgx.Conn) []execution {
	t.Helper()
	for others := 1; others > 0; {
		const query = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
		if err := conn.QueryRow(t.Context(), query).Scan(&others); err != nil {
			t.Fatal(err)
		}
	}
	return executions(t, server)
}

// executions reads the log, where each one is JSON whose lines begin with a tab.
func executions(t *testing.T, server *pgtest.Server) (all []execution) {
	t.Helper()
	log, err := server.Log()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(log, "\n")
	for i := 0; i < len(lines); i++ {
		if !strings.HasSuffix(lines[i], " plan:") {
			continue
		}
		end := i + 1
		for end < len(lines) && strings.HasPrefix(lines[end], "\t") {
			end++
		}
		var e execution
		if err := json.Unmarshal([]byte(strings.Join(lines[i+1:end], "\n")), &e); err != nil {
			t.Fatalf("the server's log: %v", err)
		}
		all = append(all, e)
	}
	return slices.Clip(all)
}
