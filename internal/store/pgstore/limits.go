package pgstore

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"liked"
	"liked/internal/limit"
	"liked/internal/store"
)

// limits has one goroutine, which does all that waits in one transaction. For counts alone it does not wait for the disk: any
// later commit makes them durable, and the database itself soon. If the commit has no answer it runs again, since a request may
// be counted twice. Only if the database crashes while the request is under way is it not counted. A nonce waits: a request must
// not be good twice because the database crashed behind it.
type limits struct {
	s      *Store
	wake   chan struct{} // has a token while there may be calls
	newest atomic.Int64  // newest time of a counted request, in Unix seconds
	signed atomic.Int64  // of a signed one, by which nonces are forgotten: it may be earlier

	mu    sync.Mutex
	calls []*limitCall

	// For the goroutine alone: nonces remembered, by app. What other servers add shows after a moment.
	nonces    map[liked.AppID]int
	allNonces int
	counted   time.Time
}

// limitCall is a call that waits. Its results are its caller's once done has a value.
type limitCall struct {
	ctx  context.Context
	kind limitKind
	now  time.Time

	key   windowsKey // of the user
	rules []liked.RateRule

	nonce store.Hash
	until int64 // Unix seconds
	use   int64

	states []liked.RateState
	ok     bool // counted, or fresh
	err    error
	done   chan error
}

type limitKind uint8

const (
	takes limitKind = iota
	givesBack
	usesNonce
)

type windowsKey struct {
	Operation string
	App       liked.AppID
	User      liked.UserID // zero: the app as a whole
}

func (k windowsKey) compare(other windowsKey) int {
	return cmp.Or(strings.Compare(k.Operation, other.Operation), cmp.Compare(k.App, other.App), cmp.Compare(k.User, other.User))
}

const (
	limitBatch = 512     // calls in a transaction
	maxNonces  = 1 << 24 // some 28,000 signed requests a second for 600 s; about 4 GB
	recount    = time.Second
)

func (l *limits) init(s *Store) {
	l.s, l.wake, l.nonces = s, make(chan struct{}, 1), make(map[liked.AppID]int)
}

func (s *Store) Take(ctx context.Context, now time.Time, operation string, app liked.AppID, user liked.UserID,
	rules []liked.RateRule, states []liked.RateState) (_ []liked.RateState, ok bool, err error) {
	c := &limitCall{kind: takes, now: now, key: windowsKey{operation, app, user}, rules: slices.Clone(rules)}
	if err := s.limits.do(ctx, c); err != nil {
		return states, false, err
	}
	return append(states, c.states...), c.ok, nil
}

func (s *Store) GiveBack(ctx context.Context, now time.Time, operation string, app liked.AppID, user liked.UserID,
	rules []liked.RateRule) error {
	return s.limits.do(ctx, &limitCall{kind: givesBack, now: now, key: windowsKey{operation, app, user}, rules: slices.Clone(rules)})
}

func (s *Store) Left(ctx context.Context, now time.Time, operation string, app liked.AppID, user liked.UserID,
	rules []liked.RateRule, states []liked.RateState) ([]liked.RateState, error) {
	type kept struct {
		User    liked.UserID
		Windows []byte
	}
	all, err := list(ctx, s, pgx.RowToStructByPos[kept],
		"SELECT user_id, windows FROM windows WHERE operation = $1 AND app = $2 AND user_id IN (0, $3)", operation, app, user)
	if err != nil {
		return states, err
	}
	windows := make(map[liked.UserID]*limit.Windows)
	for _, k := range all {
		kept, err := decodeWindows(k.Windows)
		if err != nil {
			return states, err
		}
		windows[k.User] = &kept
	}
	return limit.Left(now, windows[user], windows[0], rules, states), nil
}

// meantWindows are those of callers.
const meantWindows = " WHERE ($1::text = '' OR operation = $1) AND ($2::bigint = 0 OR app = $2) AND ($3::bigint = 0 OR user_id = $3)"

func (s *Store) Windows(ctx context.Context, now time.Time, of store.Callers) (all []store.Window, err error) {
	type kept struct {
		Operation string
		App       liked.AppID
		User      liked.UserID
		Windows   []byte
	}
	rows, err := list(ctx, s, pgx.RowToStructByPos[kept],
		"SELECT operation, app, user_id, windows FROM windows"+meantWindows, of.Operation, of.App, of.User)
	for _, k := range rows {
		windows, err := decodeWindows(k.Windows)
		if err != nil {
			return nil, err
		}
		all = windows.Open(now, store.Window{Operation: k.Operation, App: k.App, User: k.User}, all)
	}
	limit.Sort(all)
	return all, err
}

func (s *Store) ResetWindows(ctx context.Context, of store.Callers) (n int, err error) {
	err = s.update(ctx, func(t *tx) error {
		t.exec("DELETE FROM windows"+meantWindows, of.Operation, of.App, of.User).Exec(func(done pgconn.CommandTag) error {
			n = int(done.RowsAffected())
			return nil
		})
		return nil
	})
	return n, err
}

func (s *Store) UseNonce(ctx context.Context, now time.Time, app liked.AppID, nonce store.Hash, until time.Time) (fresh bool, err error) {
	c := &limitCall{kind: usesNonce, now: now, key: windowsKey{App: app}, nonce: nonce, until: until.Unix(), use: rand.Int64()}
	err = s.limits.do(ctx, c)
	return err == nil && c.ok, err
}

// do has the goroutine do the call, and waits for it.
func (l *limits) do(ctx context.Context, c *limitCall) error {
	if err := l.s.enter(ctx); err != nil {
		return err
	}
	defer l.s.leave()
	if c.kind != usesNonce && len(c.rules) == 0 {
		c.ok = true
		return nil
	}
	newest := &l.newest
	if c.kind == usesNonce {
		newest = &l.signed
	}
	if unix := c.now.Unix(); unix > newest.Load() {
		newest.Store(unix)
	}
	c.ctx, c.done = ctx, make(chan error, 1)
	l.mu.Lock()
	l.calls = append(l.calls, c)
	l.mu.Unlock()
	l.poke()
	patience := time.NewTimer(l.s.patience)
	defer patience.Stop()
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-patience.C:
		return errPatience
	}
}

func (l *limits) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *limits) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		}
		l.mu.Lock()
		n := min(len(l.calls), limitBatch)
		calls := slices.Clone(l.calls[:n])
		l.calls = slices.Delete(l.calls, 0, n)
		more := len(l.calls) > 0
		l.mu.Unlock()
		if more {
			l.poke()
		}
		calls = slices.DeleteFunc(calls, func(c *limitCall) bool { return c.ctx.Err() != nil })
		if len(calls) == 0 {
			continue
		}
		within, cancel := context.WithTimeout(ctx, l.s.patience)
		err := failure(l.s.again(within, func() error { return l.attempt(within, calls) }))
		cancel()
		for _, c := range calls {
			c.done <- cmp.Or(err, c.err)
		}
	}
}

// attempt does the calls, in their order, in a transaction.
func (l *limits) attempt(ctx context.Context, calls []*limitCall) error {
	conn, err := l.s.work.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	for {
		t := &tx{ctx: context.Background(), conn: conn.Conn()}
		t.queue("BEGIN")
		if !slices.ContainsFunc(calls, func(c *limitCall) bool { return c.kind == usesNonce }) {
			t.queue("SET LOCAL synchronous_commit = off")
		}
		err := l.count(t, calls)
		if err == nil && t.wrote {
			t.queue("COMMIT")
			err = t.send()
		}
		err = t.rollback(err)
		if !violates(err, "windows_pkey") { // else another server has added the same row meanwhile
			return err
		}
	}
}

// counter has the windows of one key.
type counter struct {
	there       bool // in the database
	kept, after limit.Windows
}

type counters map[windowsKey]*counter

// of returns the counters of a call: of the user and of the app as a whole, which may be the same.
func (cs counters) of(c *limitCall, add bool) (user, app *limit.Windows) {
	both := [2]*limit.Windows{}
	for i, key := range [2]windowsKey{c.key, {c.key.Operation, c.key.App, 0}} {
		if cs[key] == nil && add {
			cs[key] = new(counter)
		}
		if cs[key] != nil {
			both[i] = &cs[key].after
		}
	}
	return both[0], both[1]
}

// count does the calls within a transaction, whose commit may follow, and sets their results.
func (l *limits) count(t *tx, calls []*limitCall) error {
	found := l.lock(t, calls)
	nonces := l.use(t, calls)
	if err := t.send(); err != nil {
		return err
	}
	for _, c := range calls {
		switch c.kind {
		case takes:
			user, app := found.of(c, true)
			c.states, c.ok = limit.Take(c.now, user, app, c.rules, c.states[:0])
		case givesBack:
			user, app := found.of(c, false)
			limit.GiveBack(c.now, user, app, c.rules)
		case usesNonce:
			c.ok = nonces[c.nonce] == c
		}
	}
	found.keep(t)
	l.countNonces(t, calls)
	return nil
}

// lock reads and locks the rows of the calls, once t is sent.
func (l *limits) lock(t *tx, calls []*limitCall) counters {
	found := make(counters)
	wanted := make(map[windowsKey]bool)
	for _, c := range calls {
		for _, r := range c.rules {
			key := c.key
			if r.App {
				key.User = 0
			}
			wanted[key] = true
		}
	}
	if len(wanted) == 0 {
		return found
	}
	keys := slices.SortedFunc(maps.Keys(wanted), windowsKey.compare)
	operations, apps, users := columns(keys)
	type kept struct {
		I       int
		Windows []byte
	}
	t.queue(`SELECT k.i, w.windows FROM unnest($1::text[], $2::bigint[], $3::bigint[]) WITH ORDINALITY k(operation, app, user_id, i)
		JOIN windows w USING (operation, app, user_id) ORDER BY k.i FOR NO KEY UPDATE OF w`, operations, apps, users).
		Query(func(r pgx.Rows) error {
			all, err := pgx.CollectRows(r, pgx.RowToStructByPos[kept])
			if err != nil {
				return err
			}
			for _, k := range all {
				c := &counter{there: true}
				if c.kept, err = decodeWindows(k.Windows); err != nil {
					return err
				}
				c.after = c.kept
				found[keys[k.I-1]] = c
			}
			return nil
		})
	return found
}

func columns(keys []windowsKey) (operations []string, apps []liked.AppID, users []liked.UserID) {
	for _, k := range keys {
		operations, apps, users = append(operations, k.Operation), append(apps, k.App), append(users, k.User)
	}
	return operations, apps, users
}

// keep has t write the counters that have changed.
func (cs counters) keep(t *tx) {
	write := func(sql string, there bool) {
		var keys []windowsKey
		for key, c := range cs {
			if c.there == there && c.after != c.kept {
				keys = append(keys, key)
			}
		}
		if len(keys) == 0 {
			return
		}
		slices.SortFunc(keys, windowsKey.compare)
		var windows [][]byte
		var ends []int64
		for _, key := range keys {
			end := int64(0)
			for _, w := range cs[key].after {
				end = max(end, w.Opened+w.Length)
			}
			windows, ends = append(windows, encodeWindows(&cs[key].after)), append(ends, end)
		}
		operations, apps, users := columns(keys)
		t.exec(sql, operations, apps, users, windows, ends)
	}
	write(`UPDATE windows w SET windows = v.windows, ends = v.ends
		FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bigint[]) v(operation, app, user_id, windows, ends)
		WHERE w.operation = v.operation AND w.app = v.app AND w.user_id = v.user_id`, true)
	write(`INSERT INTO windows (operation, app, user_id, windows, ends)
		SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bigint[])`, false)
}

func encodeWindows(windows *limit.Windows) (b []byte) {
	for _, w := range windows {
		if w.Length != 0 {
			b = binary.AppendVarint(binary.AppendVarint(binary.AppendVarint(b, w.Length), w.Opened), int64(w.Count))
		}
	}
	return b
}

func decodeWindows(b []byte) (windows limit.Windows, err error) {
	next := func() int64 {
		v, n := binary.Varint(b)
		if n <= 0 {
			b, err = nil, liked.Errorf(liked.Internal, "the database has a rate limit that no release has written; restore a backup")
			return 0
		}
		b = b[n:]
		return v
	}
	for i := 0; i < len(windows) && len(b) > 0; i++ {
		windows[i] = limit.Window{Length: next(), Opened: next(), Count: int(next())}
	}
	return windows, err
}

// use has t add the nonces of the calls that are not there, and returns their calls once t is sent. Those without room get
// their error.
func (l *limits) use(t *tx, calls []*limitCall) (fresh map[store.Hash]*limitCall) {
	fresh = make(map[store.Hash]*limitCall)
	asked := make(map[store.Hash]*limitCall)
	added := make(map[liked.AppID]int)
	for _, c := range calls {
		if c.kind != usesNonce || asked[c.nonce] != nil {
			continue
		}
		own, all := l.nonces[c.key.App]+added[c.key.App], l.allNonces+len(asked)
		if c.err = nil; own >= maxNonces-all {
			c.err = liked.Errorf(liked.Unavailable, "%d nonces are remembered, %d of them of app %d, which is as many as it may have: "+
				"those of others need room, too; it gets free within minutes", all, own, c.key.App)
			continue
		}
		asked[c.nonce] = c
		added[c.key.App]++
	}
	if len(asked) == 0 {
		return fresh
	}
	if time.Since(l.counted) > recount {
		l.recount(t)
	}
	var hashes [][]byte
	var apps []liked.AppID
	var untils, uses []int64
	for _, hash := range slices.SortedFunc(maps.Keys(asked), func(a, b store.Hash) int { return bytes.Compare(a[:], b[:]) }) {
		c := asked[hash]
		hashes, apps, untils, uses = append(hashes, c.nonce[:]), append(apps, c.key.App), append(untils, c.until), append(uses, c.use)
	}
	t.exec(`INSERT INTO nonces (hash, app, until, use) SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[])
		ON CONFLICT (hash) DO UPDATE SET use = excluded.use WHERE nonces.use = excluded.use RETURNING hash`, hashes, apps, untils, uses).
		Query(func(r pgx.Rows) error {
			all, err := pgx.CollectRows(r, pgx.RowTo[[]byte])
			for _, hash := range all {
				fresh[store.Hash(hash)] = asked[store.Hash(hash)]
			}
			return err
		})
	return fresh
}

// recount reads how many nonces there are, once t is sent.
func (l *limits) recount(t *tx) {
	type count struct {
		App liked.AppID
		N   int
	}
	t.queue("SELECT app, sum(n)::bigint FROM nonce_counts GROUP BY app").Query(func(r pgx.Rows) error {
		all, err := pgx.CollectRows(r, pgx.RowToStructByPos[count])
		if err != nil {
			return err
		}
		l.nonces, l.allNonces, l.counted = make(map[liked.AppID]int), 0, time.Now()
		for _, c := range all {
			l.nonces[c.App] = c.N
			l.allNonces += c.N
		}
		return nil
	})
}

// countNonces has t count the nonces that were fresh.
func (l *limits) countNonces(t *tx, calls []*limitCall) {
	type in struct {
		app    liked.AppID
		minute int64
	}
	added := make(map[in]int)
	for _, c := range calls {
		if c.kind == usesNonce && c.ok {
			added[in{c.key.App, c.until / 60}]++
			l.nonces[c.key.App]++
			l.allNonces++
		}
	}
	if len(added) == 0 {
		return
	}
	var apps []liked.AppID
	var minutes []int64
	var n []int
	for _, k := range slices.SortedFunc(maps.Keys(added), func(a, b in) int {
		return cmp.Or(cmp.Compare(a.app, b.app), cmp.Compare(a.minute, b.minute))
	}) {
		apps, minutes, n = append(apps, k.app), append(minutes, k.minute), append(n, added[k])
	}
	t.exec(`INSERT INTO nonce_counts (app, minute, n) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])
		ON CONFLICT (app, minute) DO UPDATE SET n = nonce_counts.n + excluded.n`, apps, minutes, n)
}

// forgetLimits deletes, once a minute and on one server, windows that ended before the newest counted request and nonces that
// expired before the newest signed one, by the callers' time, and leases that nobody wants any more. What was over within the
// last minute stays, for servers whose clocks are behind.
func (s *Store) forgetLimits(ctx context.Context) {
	const every = time.Minute
	tick := time.NewTicker(every)
	defer tick.Stop()
	var from windowsKey
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		held, err := s.Hold(ctx, []string{"forget"}, 3*every)
		if err == nil && held[0] {
			from, err = s.forget(ctx, from)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("store: rate limits and nonces that are over cannot be forgotten", "err", err)
		}
	}
}

// forget deletes all nonces that are over, and of the next windows after from those that are. next is where to go on.
func (s *Store) forget(ctx context.Context, from windowsKey) (next windowsKey, err error) {
	const step, steps = 2000, 50
	over := func(newest *atomic.Int64) int64 { return newest.Load()/60*60 - 60 }
	ended, expired := over(&s.limits.newest), over(&s.limits.signed)
	do := func(sql string, args ...any) (changed int64) {
		if err == nil {
			changed, err = s.idempotent(ctx, sql, args...)
		}
		return changed
	}
	for do(`DELETE FROM nonces WHERE hash IN (
		SELECT hash FROM nonces WHERE until < $1 ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED)`, expired, step) == step {
	}
	do("DELETE FROM nonce_counts WHERE minute < $1", expired/60)
	do("DELETE FROM leases WHERE until < clock_timestamp() - interval '1 day'")
	for range steps {
		if err != nil {
			break
		}
		// There is no index on ends: it would make each request cost a row in it.
		var ends []windowsKey
		ends, err = list(ctx, s, pgx.RowToStructByPos[windowsKey], `SELECT operation, app, user_id FROM windows
			WHERE (operation, app, user_id) > ($1, $2, $3) ORDER BY operation, app, user_id OFFSET $4 LIMIT 1`,
			from.Operation, from.App, from.User, step)
		to, all := from, len(ends) == 0
		if !all {
			to = ends[0]
		}
		do(`DELETE FROM windows WHERE (operation, app, user_id) IN (SELECT operation, app, user_id FROM windows
			WHERE (operation, app, user_id) > ($1, $2, $3) AND ($4 OR (operation, app, user_id) <= ($5, $6, $7)) AND ends < $8
			ORDER BY operation, app, user_id FOR UPDATE SKIP LOCKED)`,
			from.Operation, from.App, from.User, all, to.Operation, to.App, to.User, ended)
		if all {
			return windowsKey{}, err
		}
		from = to
	}
	return from, err
}

// idempotent runs a statement that may run again, in a transaction of its own, and returns how many rows it changed.
func (s *Store) idempotent(ctx context.Context, sql string, args ...any) (changed int64, err error) {
	within, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	err = s.again(within, func() error {
		conn, err := s.work.Acquire(within)
		if err != nil {
			return err
		}
		defer conn.Release()
		tag, err := conn.Exec(context.Background(), sql, args...) // see commit for the context
		changed = tag.RowsAffected()
		return err
	})
	return changed, failure(err)
}
