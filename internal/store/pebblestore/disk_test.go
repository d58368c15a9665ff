package pebblestore

import (
	"context"
	"fmt"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"liked"
	"liked/internal/store"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("got error %v", err)
	}
}

// fill adds users 1 to 4, posts 1 and 2 of user 1, a reply, follows, blocks and likes.
func fill(t testing.TB, s *Store) {
	t.Helper()
	ctx := context.Background()
	for i := range 4 {
		ok(t, s.AddUser(ctx, liked.User{ID: liked.UserID(i + 1), Username: string(rune('a' + i)), Name: "x"}))
	}
	for i := range 2 {
		ok(t, s.AddPost(ctx, liked.Post{ID: liked.PostID(i + 1), Author: 1}))
	}
	ok(t, s.AddPost(ctx, liked.Post{ID: 3, Author: 2, InReplyTo: 1}))
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
}

func TestStoreInMemory(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	fill(t, s)
	r, err := s.Check(context.Background())
	ok(t, err)
	if want := (store.Report{Users: 4, Posts: 3, Likes: 2, LogEntries: 4}); r.Users != want.Users || r.Posts != want.Posts ||
		r.Likes != want.Likes || r.LogEntries != want.LogEntries || len(r.Problems) > 0 {
		t.Errorf("Check: got %+v, want %+v", r, want)
	}
	ok(t, s.Close())
}

func TestDirectoryHasOneProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	fill(t, s)
	_, err := Open(Options{Dir: dir})
	if err == nil || liked.KindOf(err) != liked.Unavailable || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("second Open: got error %v", err)
	}
	ok(t, s.Close())
	s = open(t, Options{Dir: dir})
	u, err := s.User(context.Background(), 2)
	ok(t, err)
	if want := (liked.UserMetrics{Following: 1, Posts: 1, Likes: 1}); u.Metrics != want {
		t.Errorf("after reopening: got %+v, want %+v", u.Metrics, want)
	}
	ok(t, s.Close())
}

func TestOtherFormatsAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rows map[string]string
		want string
	}{
		"later format": {map[string]string{string(formatKey): string(rune(Format + 1)), string(releaseKey): "v9.8.7"},
			fmt.Sprintf("store format %d, written by v9.8.7, and this program reads formats 1 to %d", Format+1, Format)},
		"later format, half raised": {map[string]string{string(formatKey): string([]byte{Format + 1, Format})}, "written by a later release"},
		"damaged format":            {map[string]string{string(formatKey): ""}, "is damaged"},
		"another database":          {map[string]string{"zebra": ""}, "not a store of likes"},
	} {
		fs := vfs.NewMem()
		db, err := pebble.Open("data", &pebble.Options{FS: fs})
		ok(t, err)
		for key, value := range c.rows {
			ok(t, db.Set([]byte(key), []byte(value), pebble.Sync))
		}
		ok(t, db.Close())
		if _, err := Open(testOptions(fs)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want %q", name, err, c.want)
		}
	}
}

// A store whose files are of a later version of pebble is of a later release.
func TestLaterFilesAreRefused(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	ok(t, open(t, testOptions(disk)).Close())
	names, err := disk.List("data")
	ok(t, err)
	for _, name := range names {
		if strings.HasPrefix(name, "marker.format-version.") {
			ok(t, disk.Rename("data/"+name, "data/marker.format-version.000099.099"))
		}
	}
	if _, err := Open(testOptions(disk)); err == nil || !strings.Contains(err.Error(), "was written by a later release") {
		t.Errorf("got error %v", err)
	}
}

// A store has the version of pebble's files that is pinned, whatever newer ones the library knows. 24 stands in stores
// that were made before: changing it here means that the release before can no longer open them.
func TestPebbleFormatIsPinned(t *testing.T) {
	t.Parallel()
	for _, before := range []pebble.FormatMajorVersion{0, pebble.FormatMinSupported, pebble.FormatTableFormatV6} {
		fs := vfs.NewMem()
		if before != 0 { // made by an older release
			db, err := pebble.Open("data", &pebble.Options{FS: fs, FormatMajorVersion: before})
			ok(t, err)
			ok(t, db.Set(formatKey, []byte{Format}, pebble.Sync))
			ok(t, db.Close())
		}
		s := open(t, testOptions(fs))
		fill(t, s)
		ok(t, s.Close())
		desc, err := pebble.Peek("data", fs)
		ok(t, err)
		if desc.FormatMajorVersion != 24 {
			t.Errorf("a store of version %d has version %d once it was opened, want 24", before, desc.FormatMajorVersion)
		}
	}
}

// Check must find whatever is wrong.
func TestCheckFinds(t *testing.T) {
	t.Parallel()
	// The likes of fill have positions noon+0 and so on, in the order of the calls.
	at := func(n int) liked.Seq { return liked.Seq(noon.UnixMilli()<<20) + liked.Seq(n) }
	set := func(key, value []byte) func(*pebble.Batch) {
		return func(b *pebble.Batch) { must(b.Set(key, value, nil)) }
	}
	remove := func(key []byte) func(*pebble.Batch) { return func(b *pebble.Batch) { must(b.Delete(key, nil)) } }
	event := func(e liked.LikeEvent) []byte { return appendEvent(nil, &e) }
	for name, c := range map[string]struct {
		spoil func(*pebble.Batch)
		want  string
	}{
		"like without row of its user": {remove(likedKey(nil, 2, at(0))), "not in the list of liked posts"},
		"like without row of its post": {remove(likersKey(nil, 1, at(1))), "not in the list of liking users"},
		"row of a user without like": {set(likedKey(nil, 2, at(9)), encodeID(liked.PostID(1))),
			"the list of liked posts has 3 rows and should have 2"},
		"row of a post without like": {set(likersKey(nil, 1, at(9)), encodeID(liked.UserID(4))),
			"the list of liking users has 3 rows and should have 2"},
		"row with another post":    {set(likedKey(nil, 2, at(0)), encodeID(liked.PostID(2))), "not in the list of liked posts"},
		"like at another position": {set(likeKey(nil, 2, 1), encodeID(at(7))), "not in the list"},
		"like lost":                {remove(likeKey(nil, 2, 1)), "the like is 0"},
		"like without entry":       {remove(logKey(nil, liked.PartitionOf(2), at(0))), "is not in the log"},
		"entry without like": {set(logKey(nil, liked.PartitionOf(4), at(9)),
			event(liked.LikeEvent{Seq: at(9), On: true, User: 4, Post: 1, Author: 1})), "the like is 0"},
		"entry in another partition": {set(logKey(nil, (liked.PartitionOf(2)+1)%liked.Partitions, at(9)),
			event(liked.LikeEvent{Seq: at(9), User: 2, Post: 2, Author: 1})), "is in partition"},
		"entry that changes nothing": {set(logKey(nil, liked.PartitionOf(2), at(9)),
			event(liked.LikeEvent{Seq: at(9), User: 2, Post: 2, Author: 1})), "to what it was"},
		"entry of another author": {set(logKey(nil, liked.PartitionOf(2), at(0)),
			event(liked.LikeEvent{Seq: at(0), On: true, User: 2, Post: 1, Author: 3})), "names author 3"},
		"count of a post too high":   {set(num(nil, tagPostN, 1), counts{postLikes: 3, postReplies: 1}.append(nil)), "counts of post 1"},
		"count of a post gone":       {remove(num(nil, tagPostN, 1)), "counts of post 1"},
		"count of a user too low":    {set(num(nil, tagUserN, 3), counts{}.append(nil)), "counts of user 3"},
		"count of nobody":            {set(num(nil, tagUserN, 9), counts{1}.append(nil)), "1 rows U belong to no user, the first to 9"},
		"count of a user before one": {set(num(nil, tagUserN, 0), counts{1}.append(nil)), "1 rows U belong to no user, the first to 0"},
		"row of nobody":              {set(likedKey(nil, 9, at(0)), encodeID(liked.PostID(1))), "1 rows l belong to no user, the first to 9"},
		"follow without reverse":     {remove(pair(tagFollowed, 1, 2)), "is not in the list of followers"},
		"reverse without follow":     {remove(pair(tagFollow, 2, 1)), "the list of followers has 1 rows and should have 0"},
		"block without reverse":      {remove(pair(tagBlockedBy, 4, 1)), "is not in the list of blockers"},
		"user without username":      {remove(nameKey("a")), "username a of user 1 is not in the list of usernames"},
		"username of another":        {set(nameKey("a"), encodeID(liked.UserID(2))), "username a of user 1 is not in the list of usernames"},
		"post without author":        {set(postKey(8), postRow(8).encode(&store.Post{Post: liked.Post{Author: 9}})), "has no author"},
		"grant of no user": {set(grantKey(store.GrantID{1}), encode(&grant{Grant: store.Grant{User: 9}}, grantFields)),
			"of user 9 is not in the list of grants by user"},
		"token of no grant":      {set(tokenOfKey(store.GrantID{2}, kindAccess, store.Hash{}), nil), "belongs to no grant"},
		"consent of no grant":    {set(consentKey(&store.Grant{User: 9, App: 1}), make([]byte, 16)), "leads to no grant"},
		"no grant of a user":     {set(grantOfKey(9, store.GrantID{3}), nil), "the list of grants by user has 1 rows and should have 0"},
		"webhook of no app":      {set(webhookKey(8), webhookRow(8).encode(&liked.Webhook{ID: 8, App: 9})), "belongs to app 9"},
		"place of no webhook":    {set(progressKey(8), progressRow(8).encode(&store.Progress{})), "has no H"},
		"letters without number": {set(deadKey(8, 1, 1), letterRow(8, 1, 1).encode(&store.DeadLetter{})), "is missing and should be 1"},
		"number without letters": {set(deadNKey(8), encodeID(uint64(2))), "is 2 and should be 0"},
		"subscription not found": {set(subscriptionKey(9, 8), subscriptionRow(9, 8).encode(&liked.Subscription{ID: 8})),
			"subscription 8 is not in the list of subscriptions by what they are about"},
		"subscription not by user": {set(subscriptionKey(9, 8), subscriptionRow(9, 8).encode(&liked.Subscription{ID: 8, App: 9, User: 2})),
			"subscription 8 is not in the list of subscriptions by user"},
		"subscription of nobody": {set(madeNKey(9, 3), encodeID(uint64(1))), "the number V of"},
		"webhook not by app": {set(webhookKey(8), webhookRow(8).encode(&liked.Webhook{ID: 8, App: 9})),
			"webhook 8 is not in the list of webhooks by app"},
		"subscription to nothing": {set(subscribesKey(&liked.Subscription{App: 9}), encodeID(uint64(8))),
			"the list of subscriptions by what they are about has 1 rows and should have 0"},
		"post refers to nothing": {set(postKey(8), postRow(8).encode(&store.Post{Post: liked.Post{Author: 1, Quotes: 99}})),
			"refers to post 99"},
	} {
		s := open(t, Options{})
		fill(t, s)
		b := s.db.NewBatch()
		c.spoil(b)
		ok(t, b.Commit(pebble.NoSync))
		r, err := s.Check(context.Background())
		ok(t, err)
		if !strings.Contains(strings.Join(r.Problems, "\n"), c.want) {
			t.Errorf("%s: got problems %q, want %q", name, r.Problems, c.want)
		}
		ok(t, s.Close())
	}
}

func TestPruneForgetsWhatIsOver(t *testing.T) {
	t.Parallel()
	o := testOptions(vfs.NewMem())
	o.LogKeep, o.pruneEvery = time.Hour, time.Millisecond
	s := open(t, o)
	ctx := context.Background()
	fill(t, s)
	use := func(operation string, nonce byte, at time.Time) {
		_, _, err := s.Take(ctx, at, operation, 1, 1, []liked.RateRule{{Window: time.Hour, Max: 1}}, nil)
		ok(t, err)
		_, err = s.UseNonce(ctx, at, 1, store.Hash{nonce}, at.Add(time.Minute))
		ok(t, err)
	}
	use("old", 1, noon)
	use("new", 2, noon.Add(2*time.Hour))
	_, err := s.SetLike(ctx, 3, 2, true, noon.Add(2*time.Hour))
	ok(t, err)
	left := func() (log int64, limits int) {
		r, err := s.Check(ctx)
		ok(t, err)
		if len(r.Problems) > 0 {
			t.Fatalf("Check: %q", r.Problems)
		}
		for _, tag := range []byte{tagWindow, tagNonce} {
			ok(t, scan(s.db, []byte{tag}, nil, func(_, _ []byte) (bool, error) { limits++; return true, nil }))
		}
		return r.LogEntries, limits
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		log, limits := left()
		if log == 1 && limits == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %d entries of the log and %d windows and nonces, want 1 and 2", log, limits)
		}
	}
	ok(t, s.Close())
	s = open(t, o)
	if log, limits := left(); log != 1 || limits != 2 {
		t.Errorf("after reopening: got %d entries of the log and %d windows and nonces, want 1 and 2", log, limits)
	}
	changed, err := s.SetLike(ctx, 2, 1, false, noon.Add(2*time.Hour)) // older than the log
	if err != nil || !changed {
		t.Errorf("SetLike: got %v, %v", changed, err)
	}
	left()
	ok(t, s.Close())
}

// A webhook that was not past what the log forgets is told, and one that was is not.
func TestPruneTellsWebhooks(t *testing.T) {
	t.Parallel()
	o := testOptions(vfs.NewMem())
	o.LogKeep, o.pruneEvery = time.Hour, time.Millisecond
	s := open(t, o)
	ctx := context.Background()
	ok(t, s.AddApp(ctx, store.App{App: liked.App{ID: 1, ClientID: "c", APIKey: "k"}}))
	for id := range liked.WebhookID(2) {
		ok(t, s.AddWebhook(ctx, liked.Webhook{ID: id + 1, App: 1, URL: "https://example.com/" + id.String()}, 9))
	}
	fill(t, s)
	var all liked.Positions
	for p := range all {
		all[p] = liked.Seq(noon.UnixMilli()+1000) << 20
	}
	ok(t, s.Advance(ctx, map[liked.WebhookID]liked.Positions{2: all}))
	_, err := s.SetLike(ctx, 3, 2, true, noon.Add(2*time.Hour))
	ok(t, err)
	progress := func(id liked.WebhookID) store.Progress {
		p, err := s.Progress(ctx, id)
		ok(t, err)
		return p
	}
	horizon := liked.Seq(noon.Add(time.Hour).UnixMilli()) << 20
	for deadline := time.Now().Add(time.Minute); progress(1).Lost != horizon; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got progress %+v, want lost %d", progress(1), horizon)
		}
	}
	if p := progress(2); p.Lost != 0 || p.Offsets[0] != horizon-1 {
		t.Errorf("got progress %+v of a webhook that was past all, want that it lost nothing", p)
	}
	ok(t, s.Close())
}

// A disk that takes the log but no tables must neither stop the process nor keep it busy for ever.
func TestFailedTablesDoNotStopReads(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	var tries atomic.Int64
	disk := vfs.NewCrashableMem()
	o := testOptions(errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && op.Kind == errorfs.OpCreate && path.Ext(op.Path) == ".sst" {
			tries.Add(1)
			return errorfs.ErrInjected
		}
		return nil
	})))
	o.memTable = 32 << 10
	s := open(t, o)
	fill(t, s)
	broken.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	users := 4
	for ; ; users++ {
		u := liked.User{ID: liked.UserID(users + 1), Username: "u" + liked.UserID(users).String(), Name: strings.Repeat("x", 50)}
		if err := s.AddUser(ctx, u); err != nil {
			if liked.KindOf(err) != liked.Unavailable {
				t.Fatalf("AddUser: got error %v, want Unavailable", err)
			}
			break
		}
	}
	time.Sleep(10 * time.Millisecond)
	before := tries.Load()
	time.Sleep(50 * time.Millisecond)
	if after := tries.Load(); after != before {
		t.Errorf("got %d more tries after the store has failed", after-before)
	}
	if err := s.Close(); err == nil || liked.KindOf(err) != liked.Unavailable {
		t.Errorf("Close: got error %v, want Unavailable", err)
	}
	s = open(t, testOptions(disk.CrashClone(vfs.CrashCloneCfg{})))
	r, err := s.Check(context.Background())
	ok(t, err)
	if len(r.Problems) > 0 || int(r.Users) < users {
		t.Errorf("after a crash: got %d users and %q, want at least %d", r.Users, r.Problems, users)
	}
	ok(t, s.Close())
}

// What a caller looked up before it queued may be out of date when its turn comes.
func TestStaleLookupsAreRepeated(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := open(t, Options{})
	fill(t, s)
	// stale looks at a like, lets something happen, and queues what it saw.
	stale := func(user liked.UserID, post liked.PostID, on bool, meanwhile func()) (bool, error) {
		t.Helper()
		r := &request{user: user, post: post, on: on, at: noon.UnixMilli(), epoch: s.epoch.Load(),
			visible: s.visible.Load(), done: make(chan struct{}, 1)}
		v, err := s.applyLikeRules(user, post)
		ok(t, err)
		r.target, r.author = v.target, v.author
		r.had, err = s.likeSeq(user, post)
		ok(t, err)
		meanwhile()
		_, err = s.do(ctx, r)
		return r.changed, err
	}
	set := func(user liked.UserID, post liked.PostID, on bool) {
		t.Helper()
		_, err := s.SetLike(ctx, user, post, on, noon)
		ok(t, err)
	}
	expect := func(what string, changed bool, err error, want bool, kind liked.Kind) {
		t.Helper()
		if changed != want || (err == nil) != (kind == 0) || err != nil && liked.KindOf(err) != kind {
			t.Errorf("%s: got %v, %v, want %v and kind %v", what, changed, err, want, kind)
		}
	}
	changed, err := stale(3, 2, true, func() { set(3, 2, true) })
	expect("set meanwhile", changed, err, false, 0)
	changed, err = stale(3, 2, true, func() { set(3, 2, false) })
	expect("taken back meanwhile", changed, err, true, 0)
	changed, err = stale(3, 2, false, func() { set(3, 2, false) })
	expect("taken back twice", changed, err, false, 0)
	changed, err = stale(3, 2, false, func() { set(3, 2, true) })
	expect("set before it is taken back", changed, err, true, 0)
	changed, err = stale(3, 2, true, func() { // so long ago that the committer has forgotten it
		set(3, 2, true)
		for known := true; known; {
			ok(t, s.update(ctx, func(t *tx) error {
				for i := range recentSize {
					s.recent.put(99, liked.PostID(i+1), 0)
				}
				_, known = s.recent.get(3, 2)
				t.c.batch()
				return nil
			}))
		}
	})
	expect("forgotten", changed, err, false, 0)
	set(3, 2, false)
	changed, err = stale(3, 2, true, func() { _, err := s.SetBlock(ctx, 1, 3, true); ok(t, err) })
	expect("blocked meanwhile", changed, err, false, liked.Forbidden)
	_, err = s.SetBlock(ctx, 1, 3, false)
	ok(t, err)
	changed, err = stale(3, 2, true, func() { ok(t, s.DeletePost(ctx, 0, 2)) })
	expect("deleted meanwhile", changed, err, false, liked.NotFound)
	r, err := s.Check(ctx)
	ok(t, err)
	if len(r.Problems) > 0 {
		t.Errorf("Check: %q", r.Problems)
	}
	ok(t, s.Close())
}

// standing is a disk whose syncs do not end as long as it stands.
type standing struct {
	*vfs.MemFS
	mu   sync.Mutex
	goOn chan struct{} // nil: it does not stand
}

func newStanding() *standing { return &standing{MemFS: vfs.NewCrashableMem()} }

func (d *standing) options() Options {
	return testOptions(errorfs.Wrap(d.MemFS, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			d.mu.Lock()
			goOn := d.goOn
			d.mu.Unlock()
			if goOn != nil {
				<-goOn
			}
		}
		return nil
	})))
}

func (d *standing) stand() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.goOn = make(chan struct{})
}

func (d *standing) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.goOn)
	d.goOn = nil
}

// A disk that stands still keeps nobody longer than they want to wait, and nothing is lost when it goes on.
func TestStalledDiskEndsCalls(t *testing.T) {
	t.Parallel()
	disk := newStanding()
	s := open(t, disk.options())
	fill(t, s)
	disk.stand()
	impatient := func() (context.Context, context.CancelFunc) {
		return context.WithTimeout(context.Background(), 20*time.Millisecond)
	}
	for i := range 20 { // the second and later ones do not even reach the disk
		ctx, cancel := impatient()
		if _, err := s.SetLike(ctx, 3, 2, i%2 == 0, noon.Add(time.Hour)); err != context.DeadlineExceeded {
			t.Errorf("like %d: got error %v, want that the time is over", i, err)
		}
		cancel()
	}
	ctx, cancel := impatient()
	defer cancel()
	if _, err := s.User(ctx, 3); err != context.DeadlineExceeded { // it may have counted what is not on the disk
		t.Errorf("User: got error %v, want that the time is over", err)
	}
	disk.release()
	changed, err := s.SetLike(context.Background(), 2, 2, true, noon.Add(time.Hour))
	if err != nil || !changed {
		t.Errorf("a like afterwards: got %v, %v", changed, err)
	}
	proven(t, s)
	ok(t, s.Close())
	s = open(t, testOptions(disk.CrashClone(vfs.CrashCloneCfg{})))
	if on, err := s.Liked(context.Background(), 2, []liked.PostID{2}); err != nil || !on[0] {
		t.Errorf("after a crash: got %v, %v, want the like", on, err)
	}
	proven(t, s)
	ok(t, s.Close())
}

// A page shows no change that a crash may undo, wherever in the list it is: whoever reads one waits for the changes that it shows,
// and for no others.
func TestPagesWaitForTheDisk(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{true, false} {
		disk := newStanding()
		s := open(t, disk.options())
		fill(t, s)
		newest, err := s.LikingUsers(context.Background(), 0, 1, store.Cursor{}, 1, store.WithoutMetrics, nil)
		ok(t, err)
		froms := map[string]store.Cursor{"newest": {}, "older": newest.Older, "newer": {Seq: newest.Older.Seq, Newer: true}}
		disk.stand()
		read := func(post liked.PostID, from store.Cursor, within time.Duration) error {
			ctx, cancel := context.WithTimeout(context.Background(), within)
			defer cancel()
			_, err := s.LikingUsers(ctx, 0, post, from, 100, store.WithoutMetrics, nil)
			return err
		}
		user := liked.UserID(2)
		if on {
			user = 1
		}
		ctx, cancel := context.WithCancel(context.Background())
		before, waiting := s.visible.Load(), make(chan struct{})
		go func() {
			defer close(waiting)
			_, _ = s.SetLike(ctx, user, 1, on, noon.Add(time.Hour))
		}()
		for s.visible.Load() == before {
			time.Sleep(time.Millisecond)
		}
		for name, from := range froms {
			if err := read(1, from, 20*time.Millisecond); err != context.DeadlineExceeded {
				t.Errorf("like set to %v, the %s page: got error %v, want that the time is over", on, name, err)
			}
			ok(t, read(2, from, time.Minute)) // it would be over before the disk answers
		}
		cancel()
		<-waiting
		disk.release()
		ok(t, s.Close())
	}
}

// Nor does it keep those for ever who set themselves no time. Once one has waited in vain all are refused at once, without
// being queued, and are answered again, with nobody's help, when the disk goes on.
func TestDiskTimeout(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	disk := newStanding()
	o := disk.options()
	o.DiskTimeout = 500 * time.Millisecond
	s := open(t, o)
	fill(t, s)
	for round := range 2 {
		disk.stand()
		results := make(chan error)
		go func() {
			_, err := s.SetLike(ctx, 3, 2, round%2 == 0, noon)
			results <- err
		}()
		go func() {
			results <- s.AddUser(ctx, liked.User{ID: liked.UserID(round + 10), Username: "x" + liked.UserID(round+10).String(), Name: "x"})
		}()
		go func() {
			for s.applied.Load() == s.synced.Load() { // it waits behind one of the others
				time.Sleep(time.Millisecond)
			}
			_, err := s.Totals(ctx) // what it reads from is closed in the end
			results <- err
		}()
		for range 3 {
			if err := <-results; err != errStalled {
				t.Errorf("round %d: a call that waits: got error %v, want %v", round, err, errStalled)
			}
		}
		waiting := inQueue(s)
		for i := range 100 {
			_, err := s.SetLike(ctx, 2, 2, true, noon)
			_, readErr := s.User(ctx, 2)
			if err != errStalled || readErr != errStalled {
				t.Fatalf("round %d: call %d afterwards: got errors %v and %v, want %v", round, i, err, readErr, errStalled)
			}
		}
		if got := inQueue(s); got > waiting {
			t.Errorf("round %d: got %d calls more in the queue, want none", round, got-waiting)
		}
		disk.release()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			_, err := s.SetLike(ctx, 2, 2, true, noon)
			if err == nil {
				break
			}
			if err != errStalled || time.Now().After(deadline) {
				t.Fatalf("round %d: a like when the disk goes on: got error %v", round, err)
			}
		}
	}
	// What gave up in the same moment as all was done leaves nothing that would end it.
	s.timeouts.stalled.Store(true)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := s.User(ctx, 2); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("a call to a store that has nothing to do: got error %v", err)
		}
	}
	proven(t, s)
	ok(t, s.Close())
}

func inQueue(s *Store) int {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	return len(s.queue.waiting)
}

// A store whose disk fails answers at once everybody who waits.
func TestFailureEndsWaits(t *testing.T) {
	t.Parallel()
	disk := newStanding()
	s := open(t, disk.options())
	fill(t, s)
	disk.stand()
	failed := make(chan error)
	for user := range liked.UserID(2) {
		go func() {
			_, err := s.SetLike(context.Background(), user+2, 2, true, noon)
			failed <- err
		}()
	}
	for deadline := time.Now().Add(time.Minute); s.calls.Load() < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody waits")
		}
	}
	s.fail(errorfs.ErrInjected)
	for range 2 {
		if err := <-failed; err != s.failure.Load() {
			t.Errorf("got error %v, want the failure", err)
		}
	}
	if err := s.AddUser(context.Background(), liked.User{ID: 9, Username: "y", Name: "x"}); err != s.failure.Load() {
		t.Errorf("later: got error %v, want the failure", err)
	}
	disk.release()
	if err := s.Close(); liked.KindOf(err) != liked.Unavailable {
		t.Errorf("Close: got error %v", err)
	}
}

// Nor does anybody wait for a committer that has ended, whatever its timer does at that moment.
func TestEndedCommitterEndsWaits(t *testing.T) {
	t.Parallel()
	for range 20 { // the timer may see the failure or the end first
		o := testOptions(vfs.NewMem())
		o.DiskTimeout = ticks * 20 * time.Millisecond
		s := open(t, o)
		s.timeouts.mu.Lock() // the timer waits for it in its next tick
		time.Sleep(30 * time.Millisecond)
		answer := make(chan error, 1)
		go func() { answer <- s.update(context.Background(), func(*tx) error { panic("broken") }) }()
		<-s.stopped
		s.timeouts.mu.Unlock()
		select {
		case err := <-answer:
			if err != s.failure.Load() {
				t.Errorf("got error %v, want the failure", err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("a call waits for a committer that has ended")
		}
		if err := s.Close(); liked.KindOf(err) != liked.Unavailable {
			t.Errorf("Close: got error %v", err)
		}
	}
}
