package pgstore

import (
	"cmp"
	"context"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"liked"
	"liked/internal/cache"
	"liked/internal/store/sight"
	"liked/internal/store/valid"
)

// Likes are written in batches. Each writer has some of the lanes, and takes all that waits for them into one transaction of
// two trips: one locks the lanes and the heads of the posts and reads what the like rules depend on, the other writes. In
// between all is decided here. Nobody is answered before the commit, not even whom nothing changes: what a batch has seen may
// be its own.
//
// A position is in milliseconds above 20 bits, whose lowest 5 are the lane: lanes need not agree to give out each one once. It
// is above all that the lanes and the posts of the batch have had, and both are locked until the commit: so the order of
// positions in a list is that in which its likes appear.

// maxBatch bounds a batch of likes: larger ones hold their locks longer, and no more get through.
const maxBatch = 256

// laneStep is the distance of two positions in a lane; laneMask has the bits of the lane.
const (
	laneStep = 32
	laneMask = laneStep - 1
)

// setLike is a call of SetLike.
type setLike struct {
	user liked.UserID
	post liked.PostID // as the caller named it
	on   bool
	at   int64 // milliseconds

	until   time.Time // when its caller gives up at the latest
	changed bool
	err     error
	done    chan struct{} // closed once changed and err are final
}

// likeWriter has the calls that wait for its lanes.
type likeWriter struct {
	s       *Store
	mu      sync.Mutex
	waiting []*setLike
	wake    chan struct{} // holds a token if there may be some
}

// likeTarget is what never changes of a post that exists or was deleted. The target of a like is the original of a repost.
type likeTarget struct {
	author       liked.UserID
	target       liked.PostID
	targetAuthor liked.UserID
}

// headsKept is how many heads of posts, and ids of users, are cached.
const headsKept = 1 << 18

// seed spreads keys in this process.
var seed = maphash.MakeSeed()

func newKept[K ~int64, V any]() *cache.Cache[K, V] {
	return cache.New[K, V](headsKept, func(k K) uint64 { return maphash.Comparable(seed, k) }, nil)
}

func (s *Store) SetLike(ctx context.Context, user liked.UserID, post liked.PostID, on bool, at time.Time) (bool, error) {
	if err := valid.At(at); err != nil {
		return false, err
	}
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	r := &setLike{user: user, post: post, on: on, at: at.UnixMilli(), until: time.Now().Add(s.patience), done: make(chan struct{})}
	s.writers[liked.PartitionOf(user)%len(s.writers)].push(r) // which leaves
	patience := time.NewTimer(s.patience)
	defer patience.Stop()
	select {
	case <-r.done:
		return r.changed, r.err
	case <-ctx.Done():
		return false, ctx.Err()
	case <-patience.C:
		return false, errPatience
	}
}

func (w *likeWriter) push(r *setLike) {
	w.mu.Lock()
	w.waiting = append(w.waiting, r)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *likeWriter) take() []*setLike {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.waiting), maxBatch)
	batch := w.waiting[:n:n]
	if w.waiting = w.waiting[n:]; len(w.waiting) == 0 {
		w.waiting = nil
	}
	return batch
}

func (w *likeWriter) run(ctx context.Context) {
	for {
		select {
		case <-w.wake:
		case <-ctx.Done():
			return
		}
		for batch := w.take(); len(batch) > 0; batch = w.take() {
			w.s.meters.batches.Add(1)
			w.s.meters.batched.Add(int64(len(batch)))
			w.write(batch)
		}
	}
}

// write leaves out the calls whose callers have given up: while the database is away, each batch waits for as long as a caller,
// and all that came meanwhile must not follow it one after the other.
func (w *likeWriter) write(calls []*setLike) {
	now := time.Now()
	calls = slices.DeleteFunc(calls, func(r *setLike) bool {
		over := now.After(r.until)
		if over {
			w.answer(r, decided{err: errPatience})
		}
		return over
	})
	if len(calls) == 0 {
		return
	}
	var b *likeBatch
	err := failure(w.s.commit(w.s.work, func(t *tx) error {
		b = &likeBatch{s: w.s, tx: t, calls: calls, decided: make([]decided, len(calls))}
		return b.run()
	}))
	for i, r := range calls {
		d := decided{err: err}
		if err == nil {
			d = b.decided[i]
		}
		w.answer(r, d)
	}
}

func (w *likeWriter) answer(r *setLike, d decided) {
	r.changed, r.err = d.changed, d.err
	close(r.done)
	w.s.leave()
}

// likeBatch is a transaction of likes.
type likeBatch struct {
	*tx
	s       *Store
	calls   []*setLike
	targets []likeTarget // by call; zero: there is no such post
	decided []decided    // by call

	lanes   map[int]*laneState
	posts   map[liked.PostID]*postState
	refused map[refusalOf]sight.Author
	likes   map[likeID]*likeState
	noUser  map[liked.UserID]bool
}

type decided struct {
	changed bool
	err     error
}

type likeID struct {
	user liked.UserID
	post liked.PostID
}

type refusalOf struct {
	call   int
	author liked.UserID
}

// laneState is a locked lane.
type laneState struct {
	last    liked.Seq
	entries []liked.LikeEvent
	likes   int64 // change of the number
}

// postState is a locked head.
type postState struct {
	last    liked.Seq
	deleted bool
	likes   int64 // change of the number
	touched bool  // a like of it changed, though the number may not
}

// likeState is a like's position before the batch and now, 0 for none.
type likeState struct{ before, now liked.Seq }

func (b *likeBatch) run() error {
	if err := b.findTargets(); err != nil {
		return err
	}
	if err := b.lock(); err != nil {
		return err
	}
	b.decide()
	b.save()
	return nil
}

// findTargets looks for the heads of posts that are not cached. What it finds cannot change.
func (b *likeBatch) findTargets() error {
	b.targets = make([]likeTarget, len(b.calls))
	missing := make(map[liked.PostID]likeTarget)
	for i, r := range b.calls {
		var ok bool
		if b.targets[i], ok = b.s.targets.Get(r.post); !ok {
			missing[r.post] = likeTarget{}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	ids := make([]int64, 0, len(missing))
	for id := range missing {
		ids = append(ids, int64(id))
	}
	found, err := b.tx.targets(ids)
	if err != nil {
		return err
	}
	for _, f := range found {
		h := likeTarget{author: f.Author, target: cmp.Or(f.RepostOf, f.ID), targetAuthor: f.OriginalAuthor}
		if f.RepostOf == 0 {
			h.targetAuthor = f.Author
		}
		missing[f.ID] = h
		b.s.targets.Put(f.ID, h)
	}
	for i, r := range b.calls {
		if b.targets[i] == (likeTarget{}) {
			b.targets[i] = missing[r.post]
		}
	}
	return nil
}

// lock locks what the batch depends on, and reads it: each statement sees what was committed before the lanes' locks were given.
// These keep everything as it is but the heads of the posts, whose own lock shows what they are.
func (b *likeBatch) lock() error {
	b.lanes, b.posts = make(map[int]*laneState), make(map[liked.PostID]*postState)
	b.refused, b.likes, b.noUser = make(map[refusalOf]sight.Author), make(map[likeID]*likeState), make(map[liked.UserID]bool)
	var askCall, askUser, askAuthor, likeUser, likePost, unknown []int64
	ask := func(call int, user, author liked.UserID) {
		askCall, askUser, askAuthor = append(askCall, int64(call)), append(askUser, int64(user)), append(askAuthor, int64(author))
	}
	for i, r := range b.calls {
		h := b.targets[i]
		if h == (likeTarget{}) {
			continue
		}
		b.lanes[liked.PartitionOf(r.user)] = new(laneState)
		b.posts[h.target] = new(postState)
		if id := (likeID{r.user, h.target}); b.likes[id] == nil {
			b.likes[id] = new(likeState)
			likeUser, likePost = append(likeUser, int64(r.user)), append(likePost, int64(h.target))
		}
		if !r.on {
			continue
		}
		b.posts[r.post] = cmp.Or(b.posts[r.post], new(postState))
		ask(i, r.user, h.targetAuthor)
		if h.author != h.targetAuthor {
			ask(i, r.user, h.author)
		}
		if _, known := b.s.known.Get(r.user); !known {
			b.noUser[r.user] = false
		}
	}
	for user := range b.noUser {
		unknown = append(unknown, int64(user))
	}
	if len(b.lanes) == 0 {
		return nil
	}
	b.queue("SELECT lane, last FROM lanes WHERE lane = ANY($1) ORDER BY lane FOR NO KEY UPDATE", sorted(b.lanes)).
		Query(func(r pgx.Rows) error {
			var lane int
			var last liked.Seq
			_, err := pgx.ForEachRow(r, []any{&lane, &last}, func() error { b.lanes[lane].last = last; return nil })
			return err
		})
	heads := func() {
		b.queueHeads("post_id, last, deleted", sorted(b.posts), func(r pgx.Rows) error {
			var id liked.PostID
			var p postState
			_, err := pgx.ForEachRow(r, []any{&id, &p.last, &p.deleted}, func() error { *b.posts[id] = p; return nil })
			return err
		})
	}
	if b.shards != nil { // where the users' rows are locked, too: after the heads, as everywhere
		heads()
	}
	b.queueUsers(unknown)
	b.queueLikes(likeUser, likePost, "true", func(id likeID, seq liked.Seq, _ bool) {
		if l := b.likes[id]; l != nil {
			*l = likeState{seq, seq}
		}
	})
	// A post that many like is locked by one batch at a time. What needs only the lanes is read before, while others have it.
	var err error
	if b.shards == nil {
		b.queueRefused(askCall, askUser, askAuthor)
		heads()
		err = b.send()
	} else {
		err = b.refusedApart(askCall, askUser, askAuthor)
	}
	if err != nil {
		return err
	}
	for user, missing := range b.noUser {
		if !missing {
			b.s.known.Put(user, struct{}{})
		}
	}
	return nil
}

// target is the head of a post, with the author of the original if it is a repost.
type target struct {
	ID             liked.PostID
	Author         liked.UserID
	RepostOf       liked.PostID
	OriginalAuthor liked.UserID
}

func (t *tx) targets(ids []int64) ([]target, error) {
	const columns = "SELECT h.post_id, h.author_id, h.repost_of, "
	scan := pgx.RowToStructByPos[target]
	if t.shards == nil {
		return rows(t, scan, columns+`coalesce(o.author_id, 0)
			FROM unnest($1::bigint[]) r(id) JOIN post_heads h ON h.post_id = r.id LEFT JOIN post_heads o ON o.post_id = h.repost_of`, ids)
	}
	const heads = columns + "0::bigint FROM post_heads h WHERE h.post_id = ANY($1)"
	found, err := rows(t, scan, heads, ids)
	originals := make(map[liked.PostID]liked.UserID)
	for _, f := range found {
		if f.RepostOf != 0 {
			originals[f.RepostOf] = 0
		}
	}
	if err != nil || len(originals) == 0 {
		return found, err
	}
	more, err := rows(t, scan, heads, sorted(originals))
	for _, o := range more {
		originals[o.ID] = o.Author
	}
	for i := range found {
		found[i].OriginalAuthor = originals[found[i].RepostOf]
	}
	return found, err
}

// refusedAuthors returns which authors the users may not like posts of, and why: hardly any row. Only authors with a row in
// special are looked at.
var refusedAuthors = "SELECT q.* FROM (SELECT r.c, r.a, " + strings.ReplaceAll(seenColumn, "$1", "r.u") + ` AS how
	FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) r(c, u, a) JOIN special s ON s.user_id = r.a) q WHERE q.how <> 0`

// queueRefused reads which authors the users may not like posts of.
func (b *likeBatch) queueRefused(calls, users, authors []int64) {
	if len(calls) == 0 {
		return
	}
	b.queue(refusedAuthors, calls, users, authors).Query(func(r pgx.Rows) error {
		var at refusalOf
		var how sight.Author
		_, err := pgx.ForEachRow(r, []any{&at.call, &at.author, &how}, func() error { b.refused[at] = how; return nil })
		return err
	})
}

// refusedApart is what queueRefused reads on PostgreSQL. It sends what waits.
func (b *likeBatch) refusedApart(calls, users, authors []int64) error {
	if len(calls) == 0 {
		return b.send()
	}
	pairs := make([]viewOf, len(calls))
	for i := range calls {
		pairs[i] = viewOf{liked.UserID(users[i]), liked.UserID(authors[i])}
	}
	how, err := b.views(pairs)
	for i, p := range pairs {
		if how[p] != sight.Visible {
			b.refused[refusalOf{int(calls[i]), p.author}] = how[p]
		}
	}
	return err
}

// queueLikes reads likes of users of posts: those that are there, and on Citus perhaps others. also is a column, or an expression
// where the index has all that is asked.
func (t *tx) queueLikes(users, posts []int64, also string, found func(id likeID, seq liked.Seq, logged bool)) {
	read := func(r pgx.Rows) error {
		var id likeID
		var seq liked.Seq
		var logged bool
		_, err := pgx.ForEachRow(r, []any{&id.user, &id.post, &seq, &logged}, func() error { found(id, seq, logged); return nil })
		return err
	}
	if t.shards == nil {
		t.queue("SELECT r.u, r.p, l.seq, "+also+` FROM unnest($1::bigint[], $2::bigint[]) r(u, p)
			JOIN likes l ON l.user_id = r.u AND l.post_id = r.p`, users, posts).Query(read)
		return
	}
	for _, p := range t.shards.pairs(users, posts) {
		t.queue("SELECT user_id, post_id, seq, "+also+" FROM likes l WHERE user_id = ANY($1) AND post_id = ANY($2)", p.a, p.b).Query(read)
	}
}

// queueUsers reads which of the users do not exist, of those of whom it is not known. Their lanes are locked.
func (b *likeBatch) queueUsers(unknown []int64) {
	if b.shards != nil {
		users := make(map[liked.UserID]bool)
		for like := range b.likes {
			users[like.user] = true
		}
		for _, id := range unknown {
			b.noUser[liked.UserID(id)] = true
		}
		b.lockLikes(sorted(users), func(id liked.UserID, _ int64) { b.noUser[id] = false })
		return
	}
	if len(unknown) == 0 {
		return
	}
	b.queue("SELECT u FROM unnest($1::bigint[]) u WHERE NOT EXISTS (SELECT FROM user_likes l WHERE l.user_id = u)", unknown).
		Query(func(r pgx.Rows) error {
			var id liked.UserID
			_, err := pgx.ForEachRow(r, []any{&id}, func() error { b.noUser[id] = true; return nil })
			return err
		})
}

// decide applies the calls in order.
func (b *likeBatch) decide() {
	base := liked.Seq(0)
	for _, l := range b.lanes {
		base = max(base, l.last)
	}
	for _, p := range b.posts {
		base = max(base, p.last)
	}
	for _, r := range b.calls {
		base = max(base, liked.Seq(max(r.at, 0))<<20)
	}
	// Not the next step: of two likes in one millisecond, the order would tell which lanes they are in, so something about who
	// made them. A millisecond has 32,768 steps, and positions run ahead of the clock if it has too few.
	base = (base | laneMask) + 1 + liked.Seq(rand.N(maxBatch)*laneStep)
	for i, r := range b.calls {
		h, d := b.targets[i], &b.decided[i]
		if r.on {
			if d.err = b.rule(i, r, h); d.err != nil {
				continue
			}
		} else if h == (likeTarget{}) {
			continue
		}
		like := b.likes[likeID{r.user, h.target}]
		if (like.now != 0) == r.on {
			continue
		}
		d.changed = true
		number := liked.PartitionOf(r.user)
		lane, post := b.lanes[number], b.posts[h.target]
		seq := base + liked.Seq(laneStep*i+number)
		delta := int64(1)
		if like.now = seq; !r.on {
			like.now, delta = 0, -1
		}
		lane.likes += delta
		post.likes += delta
		lane.last, post.last, post.touched = seq, seq, true
		lane.entries = append(lane.entries, liked.LikeEvent{Seq: seq, On: r.on, User: r.user, Post: h.target, Author: h.targetAuthor,
			At: time.UnixMilli(r.at).UTC()})
	}
}

// rule returns why the user may not like the post. NotFound is more than Forbidden.
func (b *likeBatch) rule(i int, r *setLike, h likeTarget) error {
	switch {
	case h == (likeTarget{}) || b.posts[r.post].deleted:
		return noSuch("post", r.post)
	case b.noUser[r.user]:
		return noSuch("user", r.user)
	case b.posts[h.target].deleted:
		return liked.Errorf(liked.NotFound, "no such post %v of which post %v is a repost", h.target, r.post)
	}
	err := b.refused[refusalOf{i, h.author}].Refusal(r.user, h.author, "")
	if how := b.refused[refusalOf{i, h.targetAuthor}]; err == nil || how == sight.Hidden {
		err = how.Refusal(r.user, h.targetAuthor, "")
	}
	return err
}

// save writes what has changed. Every statement names all keys of its rows.
func (b *likeBatch) save() {
	type row struct {
		likeID
		seq liked.Seq
	}
	var gone, come []row
	users := make(map[liked.UserID]int64)
	for id, l := range b.likes {
		if l.before == l.now {
			continue
		}
		if l.before != 0 {
			gone = append(gone, row{id, l.before})
			users[id.user]--
		}
		if l.now != 0 {
			come = append(come, row{id, l.now})
			users[id.user]++
		}
	}
	columns := func(rows []row, order func(a, b row) int) (users, posts, seqs []int64) {
		slices.SortFunc(rows, order)
		for _, r := range rows {
			users, posts, seqs = append(users, int64(r.user)), append(posts, int64(r.post)), append(seqs, int64(r.seq))
		}
		return users, posts, seqs
	}
	byUser := func(a, b row) int { return cmp.Or(cmp.Compare(a.user, b.user), cmp.Compare(a.post, b.post)) }
	byPost := func(a, b row) int { return cmp.Or(cmp.Compare(a.post, b.post), cmp.Compare(a.seq, b.seq)) }
	if len(gone) > 0 {
		u, p, _ := columns(gone, byUser)
		for _, some := range b.shards.pairs(u, p) {
			b.exec(b.shards.only("DELETE FROM likes l USING unnest($1::bigint[], $2::bigint[]) r(u, p) WHERE l.user_id = r.u AND l.post_id = r.p",
				"l.user_id = ANY($1) AND l.post_id = ANY($2)"), some.a, some.b)
		}
		_, p, q := columns(gone, byPost)
		b.exec(b.shards.only("DELETE FROM likers l USING unnest($1::bigint[], $2::bigint[]) r(p, q) WHERE l.post_id = r.p AND l.seq = r.q",
			"l.post_id = ANY($1)"), p, q)
	}
	if len(come) > 0 {
		u, p, q := columns(come, byUser)
		b.exec("INSERT INTO likes (user_id, post_id, seq, logged) SELECT *, true FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])", u, p, q)
		u, p, q = columns(come, byPost)
		b.exec("INSERT INTO likers (post_id, seq, user_id) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])", p, q, u)
	}
	b.saveLog()
	var ids, deltas []int64
	for _, user := range sorted(users) {
		if d := users[liked.UserID(user)]; d != 0 {
			ids, deltas = append(ids, user), append(deltas, d)
		}
	}
	if len(ids) > 0 {
		b.exec(b.shards.only("UPDATE user_likes l SET n = l.n + r.d FROM unnest($1::bigint[], $2::bigint[]) r(u, d) WHERE l.user_id = r.u",
			"l.user_id = ANY($1)"), ids, deltas)
	}
}

// saveLog appends the entries to the log, and moves the lanes and heads.
func (b *likeBatch) saveLog() {
	var lanes, lasts, likes []int64
	var firsts []int64
	var counts []int64
	var packed [][]byte
	for _, n := range sorted(b.lanes) {
		l := b.lanes[int(n)]
		if len(l.entries) == 0 {
			continue
		}
		lanes, lasts, likes = append(lanes, n), append(lasts, int64(l.last)), append(likes, l.likes)
		firsts, counts = append(firsts, int64(l.entries[0].Seq)), append(counts, int64(len(l.entries)))
		packed = append(packed, packEntries(l.entries))
	}
	if len(lanes) == 0 {
		return
	}
	var posts, postLasts, postLikes []int64
	for _, id := range sorted(b.posts) {
		p := b.posts[liked.PostID(id)]
		if !p.touched {
			continue
		}
		posts, postLasts, postLikes = append(posts, id), append(postLasts, int64(p.last)), append(postLikes, p.likes)
	}
	b.onCommit(func() {
		for _, lane := range lanes {
			b.s.onLog[lane].raise()
		}
	})
	b.exec("INSERT INTO log (lane, pos, first, n, entries) "+
		"SELECT * FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::int[], $5::bytea[])", lanes, lasts, firsts, counts, packed)
	b.exec(b.shards.only("UPDATE post_heads h SET likes = h.likes + r.d, last = r.last "+
		"FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) r(p, last, d) WHERE h.post_id = r.p", "h.post_id = ANY($1)"),
		posts, postLasts, postLikes)
	b.exec("UPDATE lanes l SET last = r.last, newest = r.last, likes = l.likes + r.d "+
		"FROM unnest($1::int[], $2::bigint[], $3::bigint[]) r(lane, last, d) WHERE l.lane = r.lane", lanes, lasts, likes)
}

// sorted returns the keys of m, ascending.
func sorted[K ~int | ~int64, V any](m map[K]V) []int64 {
	keys := make([]int64, 0, len(m))
	for k := range m {
		keys = append(keys, int64(k))
	}
	slices.Sort(keys)
	return keys
}
