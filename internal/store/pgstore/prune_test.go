package pgstore

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"liked"
	"liked/internal/store"
	"liked/internal/store/pgstore/pgtest"
)

// The log keeps what is younger than it must, and the last row of each lane. A webhook that was not past what is deleted is
// told, one that was is not.
func TestPrune(t *testing.T) {
	t.Parallel()
	s, err := Open(Options{DSN: pgtest.Schema(t), LogKeep: time.Hour, pruneEvery: time.Millisecond})
	ok(t, err)
	t.Cleanup(func() { ok(t, s.Close()) })
	ctx := t.Context()
	s.sql(t, "INSERT INTO offsets (webhook, positions) VALUES (1, array_fill(0::bigint, ARRAY[20]))")
	s.sql(t, "INSERT INTO outcomes SELECT sha256(n::text::bytea), true, 1 FROM generate_series(1, 1000) n")
	ok(t, s.AddUser(ctx, liked.User{ID: 1, Username: "author", Name: "x"}))
	ok(t, s.AddPost(ctx, liked.Post{ID: 1, Author: 1}))
	// One user likes often enough for several steps; another of another lane once, long ago.
	frequent, once := liked.UserID(2), liked.UserID(3)
	for liked.PartitionOf(once) == liked.PartitionOf(frequent) {
		once++
	}
	for _, u := range []liked.UserID{frequent, once} {
		ok(t, s.AddUser(ctx, liked.User{ID: u, Username: "u" + u.String(), Name: "x"}))
	}
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	set := func(user liked.UserID, on bool, at time.Time) {
		t.Helper()
		changed, err := s.SetLike(ctx, user, 1, on, at)
		if err != nil || !changed {
			t.Fatalf("SetLike: got %v, %v", changed, err)
		}
	}
	set(once, true, start)
	// Many old rows, as batches would leave them.
	s.sql(t, "INSERT INTO log (lane, pos, first, n, entries) SELECT $1, pos, pos, 0, '' FROM generate_series(1, $2) pos",
		liked.PartitionOf(frequent), 2*pruneRows+1)
	set(frequent, true, start)
	ends, err := s.LogEnds(ctx)
	ok(t, err)
	s.sql(t, "INSERT INTO offsets (webhook, positions) VALUES (2, $1)", ends[:]) // the log may have been pruned already
	set(frequent, false, start.Add(90*time.Minute))
	set(frequent, true, start.Add(100*time.Minute))
	left := func(lane int) []liked.Seq {
		seqs, err := list(ctx, s, pgx.RowTo[liked.Seq], "SELECT pos FROM log WHERE lane = $1 ORDER BY pos", lane)
		ok(t, err)
		return seqs
	}
	for deadline := time.Now().Add(time.Minute); len(left(liked.PartitionOf(frequent))) > 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log has %v", left(liked.PartitionOf(frequent)))
		}
	}
	events, err := s.LikeLog(ctx, liked.PartitionOf(frequent), 0, 10)
	if err != nil || len(events) != 2 || events[0].On || !events[1].On {
		t.Errorf("got %v, %v, want the two young entries", events, err)
	}
	if got := left(liked.PartitionOf(once)); !slices.Equal(got, []liked.Seq{ends[liked.PartitionOf(once)]}) {
		t.Errorf("a lane with one old entry has %v, want this one", got)
	}
	progress := func(id liked.WebhookID) store.Progress {
		p, err := s.Progress(ctx, id)
		ok(t, err)
		return p
	}
	var moved store.Progress
	moved.Lost = liked.Seq(start.Add(40*time.Minute).UnixMilli()) << 20
	moved.Offsets[liked.PartitionOf(frequent)] = ends[liked.PartitionOf(frequent)]
	p := progress(1)
	if earlier := moved.Lost - liked.Seq(10*time.Minute.Milliseconds())<<20; p.Lost == earlier {
		moved.Lost = earlier // the log was pruned between the last two likes, too, and lost nothing more after the second
	}
	if p != moved {
		t.Errorf("a webhook that saw nothing has %+v, want %+v", p, moved)
	}
	if p := progress(2); p != (store.Progress{Offsets: ends}) {
		t.Errorf("a webhook that was past all that is gone has %+v, want %v and that it lost nothing", p, ends)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		old, err := list(ctx, s, pgx.RowTo[int], "SELECT count(*) FROM outcomes WHERE at = 1")
		ok(t, err)
		if old[0] == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d old outcomes are left", old[0])
		}
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
