package home

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"liked"
	"liked/internal/exchange"
	"liked/internal/likelog"
	"liked/internal/store"
	"liked/internal/web"
)

const (
	maxViewers = 64
	boardSize  = 8
	lookEvery  = 250 * time.Millisecond // the store is read at most this often, for all viewers together
	quiet      = 15 * time.Second       // longest silence towards a viewer
	settled    = 4 * time.Second        // how long a post that is new or was liked keeps its slot while another waits
	maxPages   = 4 * liked.Partitions   // of the log, per look; what comes beyond them is skipped
	maxText    = 300                    // characters of a post; the page has room for fewer
)

// board is what the page shows, the same for all viewers.
type board struct {
	store   Store
	log     *likelog.Log
	first   liked.PostID // always in the first slot; 0: none
	counted atomic.Bool  // Totals is cheap from now on

	mu      sync.Mutex
	viewers int             // of the live page
	reader  *likelog.Reader // nil without viewers
	slots   []slot
	newest  liked.PostID // of those that had a slot because they are new
	posts   int64        // how many there were when that was found out
	frame   frame
	looked  time.Time
	err     error
}

// slot is a place on the board. A post stays in its slot, so that it can be read.
type slot struct {
	post liked.PostID
	used time.Time // when a like was last seen, or the post was new
}

// frame is an immutable state of the board.
type frame struct {
	web.Numbers
	Posts []web.HomePost `json:"board"`
}

// look returns the board, at most lookEvery old.
func (b *board) look(ctx context.Context) (frame, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if now.Sub(b.looked) < lookEvery {
		return b.frame, b.err
	}
	// The viewer may disconnect while others wait for the result.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	var f frame
	if f, b.err = b.see(ctx, now); b.err == nil {
		b.frame = f
	}
	b.looked = time.Now()
	return b.frame, b.err
}

func (b *board) see(ctx context.Context, now time.Time) (f frame, err error) {
	if b.counted.Load() {
		t, err := b.store.Totals(ctx)
		if err != nil {
			return f, err
		}
		f.Numbers = web.Numbers{Known: true, Users: t.Users, Posts: t.Posts, Likes: t.Likes}
	}
	liked, err := b.likedLately(ctx)
	if err != nil {
		return f, err
	}
	if b.first != 0 && b.slot(b.first) < 0 {
		b.slots = slices.Insert(b.slots[:min(len(b.slots), boardSize-1)], 0, slot{post: b.first})
	}
	b.arrange(liked, now)
	if len(b.slots) < boardSize || f.Numbers.Posts != b.posts {
		posts, err := b.store.LatestPosts(ctx, boardSize)
		if err != nil {
			return f, err
		}
		if b.show(posts, now) {
			b.posts = f.Numbers.Posts
		}
	}
	f.Posts, err = b.read(ctx)
	return f, err
}

// show gives slots to posts that are new, and to others while there are free ones. It reports whether all that are new have
// one. The posts are the latest, the last one first.
func (b *board) show(posts []liked.Post, now time.Time) bool {
	for _, p := range slices.Backward(posts) {
		if b.newest == 0 || p.ID <= b.newest {
			continue
		}
		if b.slot(p.ID) < 0 && !b.put(p.ID, now) {
			return false
		}
		b.newest = p.ID
	}
	for _, p := range posts {
		b.newest = max(b.newest, p.ID)
		if len(b.slots) < boardSize && b.slot(p.ID) < 0 {
			b.slots = append(b.slots, slot{post: p.ID})
		}
	}
	return true
}

// likedLately lists posts liked since the last look, at most as many entries of the log as maxPages hold.
func (b *board) likedLately(ctx context.Context) (posts []liked.PostID, err error) {
	if b.reader == nil {
		return nil, b.follow(ctx)
	}
	for range maxPages {
		_, entries, err := b.reader.Poll(ctx)
		if err != nil {
			b.unfollow()
			return nil, err
		}
		if len(entries) == 0 {
			return posts, nil
		}
		for _, e := range entries {
			if e.On && !slices.Contains(posts, e.Post) {
				posts = append(posts, e.Post)
			}
		}
	}
	b.unfollow()
	return posts, b.follow(ctx)
}

// follow begins to read at the end of the log, if there are viewers. b.mu must be held.
func (b *board) follow(ctx context.Context) error {
	if b.viewers == 0 {
		return nil
	}
	ends, err := b.store.LogEnds(ctx)
	if err == nil {
		b.reader, err = b.log.Read(ctx, likelog.All(), ends)
	}
	return err
}

// unfollow ends the reader, if there is one. b.mu must be held.
func (b *board) unfollow() {
	if b.reader != nil {
		b.reader.Close()
		b.reader = nil
	}
}

// enter admits a viewer, unless there are as many as may be; leave must follow.
func (b *board) enter() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.viewers == maxViewers {
		return false
	}
	b.viewers++
	return true
}

func (b *board) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.viewers--; b.viewers == 0 {
		b.unfollow()
	}
}

// arrange records which posts were liked, and gives at most one new post a slot.
func (b *board) arrange(posts []liked.PostID, now time.Time) {
	var waiting liked.PostID
	for _, id := range posts {
		if i := b.slot(id); i >= 0 {
			b.slots[i].used = now
		} else {
			waiting = id
		}
	}
	if waiting != 0 {
		b.put(waiting, now)
	}
}

// put gives the post a slot: a free one, or that of the post that was liked least lately.
func (b *board) put(id liked.PostID, now time.Time) bool {
	if len(b.slots) < boardSize {
		b.slots = append(b.slots, slot{id, now})
		return true
	}
	others := b.slots
	if others[0].post == b.first {
		others = others[1:]
	}
	oldest := slices.MinFunc(others, func(a, b slot) int { return a.used.Compare(b.used) })
	if now.Sub(oldest.used) <= settled {
		return false
	}
	b.slots[b.slot(oldest.post)] = slot{id, now}
	return true
}

func (b *board) slot(id liked.PostID) int {
	return slices.IndexFunc(b.slots, func(s slot) bool { return s.post == id })
}

// read returns the posts that a caller without a user may see, and takes the others off the board.
func (b *board) read(ctx context.Context) ([]web.HomePost, error) {
	ids := make([]liked.PostID, len(b.slots))
	for i, s := range b.slots {
		ids[i] = s.post
	}
	seen, err := b.store.Posts(ctx, 0, ids, store.WithMetrics)
	if err != nil {
		return nil, err
	}
	var authors []liked.UserID
	for _, s := range seen {
		if s.Err == nil {
			authors = append(authors, s.Post.Author)
		}
	}
	users, err := b.store.UsersByID(ctx, authors, store.WithoutMetrics)
	if err != nil {
		return nil, err
	}
	posts := make([]web.HomePost, 0, len(seen))
	kept := b.slots[:0]
	for i, s := range seen {
		author := slices.IndexFunc(users, func(u liked.User) bool { return u.ID == s.Post.Author })
		// The author is read later than the post.
		if s.Err != nil || author < 0 || users[author].Protected || users[author].State.Hidden() {
			continue
		}
		u := users[author]
		posts = append(posts, web.HomePost{
			ID: s.Post.ID.String(), Text: short(s.Post.Text),
			Name: u.Name, Username: u.Username, Likes: s.Post.Metrics.Likes,
		})
		kept = append(kept, b.slots[i])
	}
	b.slots = kept
	return posts, nil
}

func short(text string) string {
	if characters := []rune(text); len(characters) > maxText {
		return string(characters[:maxText]) + "…"
	}
	return text
}

// live sends the whole board as a server-sent event whenever it changes. A viewer that is too slow is disconnected, and
// misses nothing.
func (h *Home) live(w http.ResponseWriter, r *http.Request, x *exchange.Exchange) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	if !h.enter() {
		header.Set("Retry-After", "30")
		x.Status = http.StatusServiceUnavailable
		w.WriteHeader(x.Status)
		return
	}
	defer h.leave()
	control := http.NewResponseController(w)
	// The server's read timeout would end this request.
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		x.Status, x.Err = http.StatusInternalServerError, fmt.Errorf("live view: %w", err)
		w.WriteHeader(x.Status)
		return
	}
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("X-Accel-Buffering", "no") // nginx would keep events back
	if r.ProtoMajor == 1 {
		header.Set("Connection", "close") // its deadlines do not suit another request
	}
	x.Status = http.StatusOK
	x.Begun()
	w.WriteHeader(x.Status)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var last []byte
	var sent time.Time
	for {
		f, err := h.look(r.Context())
		f.PerSecond = h.rate.now()
		text, jsonErr := json.Marshal(f)
		if x.Err = errors.Join(err, jsonErr); x.Err != nil { // a reload shows what is wrong
			return
		}
		var event []byte
		if !bytes.Equal(text, last) {
			event = slices.Concat([]byte("data: "), text, []byte("\n\n"))
		} else if time.Since(sent) > quiet {
			event = []byte(":\n\n")
		}
		if event != nil {
			if control.SetWriteDeadline(time.Now().Add(h.Patience)) != nil {
				return
			}
			n, err := w.Write(event)
			x.Bytes += n
			if err != nil || control.Flush() != nil {
				return
			}
			last, sent = text, time.Now()
		}
		select {
		case <-tick.C:
		case <-h.ending:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// rate holds likes per second.
type rate struct{ perSecond atomic.Value } // text

// rateOver is the time that the rate averages, in seconds.
const rateOver = 5

func (r *rate) run(ctx context.Context, count func() int64) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	type sample struct {
		likes int64
		at    time.Time
	}
	samples := []sample{{count(), time.Now()}}
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			samples = append(samples, sample{count(), now})
			samples = samples[max(0, len(samples)-rateOver-1):]
			first, last := samples[0], samples[len(samples)-1]
			r.perSecond.Store(words(float64(last.likes-first.likes) / last.at.Sub(first.at).Seconds()))
		}
	}
}

func (r *rate) now() string {
	text, _ := r.perSecond.Load().(string)
	return cmp.Or(text, "0")
}

// words formats a rate with few digits, to be readable while it changes.
func words(perSecond float64) string {
	if perSecond > 0 && perSecond < 10 {
		return fmt.Sprintf("%.1f", perSecond)
	}
	return web.Count(int64(perSecond + 0.5))
}
