package pgstore

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"liked"
	"liked/internal/store"
	"liked/internal/store/pebblestore"
	"liked/internal/store/pgstore/pgtest"
)

// exported is all that Export passes, a line each.
func exported(t testing.TB, s store.Store) (records []store.Record, text []byte) {
	t.Helper()
	var b bytes.Buffer
	w := json.NewEncoder(&b)
	ok(t, s.Export(context.Background(), func(r store.Record) error {
		records = append(records, r)
		return w.Encode(r)
	}))
	return records, b.Bytes()
}

// What one engine exports goes into the other and comes back the same, whatever the order and size of imports, and what they
// refuse, keep and move to another position is the same, too.
func TestEnginesAgree(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(1, seed))
	embedded, err := pebblestore.Open(pebblestore.Options{})
	ok(t, err)
	defer embedded.Close()
	open := func() *Store {
		s, err := Open(Options{DSN: pgtest.Schema(t)})
		ok(t, err)
		t.Cleanup(func() { s.Close() })
		return s
	}
	s := open()
	all := anyRecords(rng, 4000)
	for len(all) > 0 {
		n := min(len(all), 1+rng.IntN(500))
		keepGoing := rng.IntN(8) > 0
		want, err := embedded.Import(ctx, all[:n], keepGoing)
		ok(t, err)
		got, err := s.Import(ctx, all[:n], keepGoing)
		ok(t, err)
		if outcome(got) != outcome(want) {
			t.Fatalf("Import: got %s %v\nwant %s %v", outcome(got), got, outcome(want), want)
		}
		if len(want.Refused) > 0 && !keepGoing {
			n = want.Refused[0].Index + 1
		}
		all = all[n:]
	}
	records, want := exported(t, embedded)
	_, got := exported(t, s)
	if !bytes.Equal(got, want) {
		t.Fatalf("the exports differ:\n%s", firstDifference(got, want))
	}
	kinds := make(map[string]int)
	for _, r := range records {
		switch {
		case r.User != nil:
			kinds["users"]++
		case r.Post != nil && r.Post.Deleted:
			kinds["deleted posts"]++
		case r.Post != nil:
			kinds["posts"]++
		case r.Block != nil:
			kinds["blocks"]++
		case r.Follow != nil:
			kinds["follows"]++
		default:
			kinds["likes"]++
		}
	}
	t.Log(kinds)
	for _, k := range []string{"users", "deleted posts", "posts", "blocks", "follows", "likes"} {
		if kinds[k] < 5 {
			t.Errorf("the world has %d %s, too few to show anything", kinds[k], k)
		}
	}
	copied := open()
	for chunk := range slices.Chunk(records, 300) {
		done, err := copied.Import(ctx, chunk, false)
		ok(t, err)
		if done.Added != len(chunk) {
			t.Fatalf("Import of an export: got %+v of %d", done, len(chunk))
		}
	}
	if _, got := exported(t, copied); !bytes.Equal(got, want) {
		t.Errorf("the export of a copy differs:\n%s", firstDifference(got, want))
	}
	for _, each := range []*Store{s, copied} {
		r, err := each.Check(ctx)
		ok(t, err)
		if len(r.Problems) > 0 {
			t.Errorf("Check: got problems %q", r.Problems)
		}
	}
}

// outcome is what both engines say of an import, in whatever words.
func outcome(i store.Imported) string {
	s := fmt.Sprintf("%d added, %d kept, refused:", i.Added, i.Kept)
	for _, r := range i.Refused {
		s += fmt.Sprintf(" %d %v", r.Index, liked.KindOf(r.Err))
	}
	return s
}

func firstDifference(got, want []byte) string {
	a, b := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	for n := range min(len(a), len(b)) {
		if !bytes.Equal(a[n], b[n]) {
			return fmt.Sprintf("line %d: got %s\nwant %s", n, a[n], b[n])
		}
	}
	return fmt.Sprintf("got %d lines, want %d", len(a), len(b))
}

// anyRecords are records of which many clash, refer to nothing or to each other, or are not allowed.
func anyRecords(rng *rand.Rand, n int) (all []store.Record) {
	const few = 30
	user := func() *liked.User {
		id := liked.UserID(rng.IntN(few))
		name := fmt.Sprintf("Name%d", rng.IntN(2*few))
		if rng.IntN(2) == 0 {
			name = fmt.Sprintf("nAME%d", id)
		}
		return &liked.User{ID: id, Username: name, Name: "n", Protected: rng.IntN(5) == 0, State: liked.AccountState(rng.IntN(4)),
			CreatedAt: time.UnixMicro(rng.Int64N(1e15)).UTC(), Description: []string{"", "x", "\x00"}[min(rng.IntN(20), 2)%3],
			PinnedPost: liked.PostID(rng.IntN(3))}
	}
	post := func() *store.Post {
		p := &store.Post{Deleted: rng.IntN(3) == 0, Post: liked.Post{ID: liked.PostID(rng.IntN(3 * few)), Author: liked.UserID(rng.IntN(few))}}
		ref := liked.PostID(1 + rng.IntN(3*few))
		switch rng.IntN(6) {
		case 0:
			p.RepostOf = ref
		case 1:
			p.InReplyTo = ref
			if rng.IntN(3) == 0 && !p.Deleted {
				p.Conversation, p.InReplyToUser = liked.PostID(1+rng.IntN(few)), liked.UserID(1+rng.IntN(few))
			}
		case 2:
			p.Quotes = ref
		}
		if !p.Deleted {
			p.Text, p.CreatedAt = "text", time.UnixMicro(rng.Int64N(1e15)).UTC()
		}
		if rng.IntN(5) == 0 {
			if p.By = user(); rng.IntN(4) > 0 {
				p.By.ID = p.Author
			}
		}
		return p
	}
	for range n {
		var r store.Record
		pair := &store.Pair{From: liked.UserID(rng.IntN(few)), To: liked.UserID(rng.IntN(few))}
		switch kind := rng.IntN(20); {
		case kind == 0:
			r.User = user()
		case kind < 3:
			r.Post = post()
		case kind < 5:
			r.Follow = pair
		case kind == 5:
			r.Block = pair
		case kind == 6 && rng.IntN(10) == 0: // nothing
		default:
			// Few milliseconds, some of which have only a few places left.
			seq := liked.Seq(1+rng.IntN(4)) << 20
			if rng.IntN(2) == 0 {
				seq |= 1<<20 - 1 - liked.Seq(rng.IntN(2))
			}
			r.Like = &store.Like{User: liked.UserID(rng.IntN(few)), Post: liked.PostID(rng.IntN(3 * few)), Seq: seq}
			if rng.IntN(4) == 0 {
				if r.Like.With = post(); rng.IntN(4) > 0 {
					r.Like.With.ID = r.Like.Post
				}
			}
		}
		all = append(all, r)
	}
	return all
}

// BenchmarkImport imports likes user by user, as an export has them.
func BenchmarkImport(b *testing.B) {
	const users, posts = 1000, 10_000
	s, err := Open(Options{DSN: pgtest.Schema(b)})
	ok(b, err)
	b.Cleanup(func() { s.Close() })
	imported := func(records []store.Record) {
		got, err := s.Import(context.Background(), records, false)
		if err != nil || len(got.Refused) > 0 {
			b.Fatal(got.Refused, err)
		}
	}
	var records []store.Record
	for i := range users {
		u := liked.User{ID: liked.UserID(i+1) << 22, Username: "u" + liked.UserID(i).String(), Name: "u", CreatedAt: noon}
		records = append(records, store.Record{User: &u})
	}
	for i := range posts {
		p := liked.Post{ID: liked.PostID(i+1) << 22, Author: 1 << 22, Text: "x", CreatedAt: noon}
		records = append(records, store.Record{Post: &store.Post{Post: p}})
	}
	imported(records)
	rng := rand.New(rand.NewPCG(1, 2))
	records = records[:0]
	b.ResetTimer()
	for n := 0; n < b.N; {
		user := liked.UserID(n/1000%users+1) << 22
		ms := noon.UnixMilli()
		for _, p := range rng.Perm(posts)[:1000] {
			ms += rng.Int64N(10_000_000)
			records = append(records, store.Record{Like: &store.Like{User: user, Post: liked.PostID(p+1) << 22, Seq: liked.Seq(ms) << 20}})
			n++
		}
		if len(records) >= 4000 || n >= b.N {
			imported(records)
			records = records[:0]
		}
	}
}
