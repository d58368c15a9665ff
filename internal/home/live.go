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
	"liked/internal/web"
)

const (
	maxViewers = 64
	boardSize  = 8
	lookEvery  = 250 * time.Millisecond // the store is asked at most so often, however many viewers there are
	quiet      = 15 * time.Second       // a viewer is sent nothing for at most so long
	settled    = 4 * time.Second        // how long a post without new likes stays while another waits for its place
	forgotten  = 10 * time.Second       // after this long without a look, the log since then is skipped
	maxEntries = 64                     // of a partition of the log that one look reads
	maxText    = 300                    // characters of a post; the page has room for fewer
)

// board is what the page shows, the same for all viewers.
type board struct {
	store   Store
	counted atomic.Bool // Totals costs next to nothing from now on

	mu     sync.Mutex
	at     liked.Positions // in the like log
	slots  []slot
	frame  frame
	looked time.Time
	err    error
}

// slot is a place on the board. A post stays in its place, so that people can read it.
type slot struct {
	post  liked.PostID
	liked time.Time // when a like of it was last seen
}

// frame is the board at one moment. It is not changed once it was returned.
type frame struct {
	web.Numbers
	Posts []web.HomePost `json:"board"`
}

// look returns what there is to see, which is at most lookEvery old.
func (b *board) look(ctx context.Context) (frame, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if now.Sub(b.looked) < lookEvery {
		return b.frame, b.err
	}
	// The viewer may leave while others wait for what is found.
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
	liked, err := b.likedLately(ctx, now)
	if err != nil {
		return f, err
	}
	b.arrange(liked, now)
	if len(b.slots) < boardSize {
		posts, err := b.store.LatestPosts(ctx, boardSize)
		if err != nil {
			return f, err
		}
		for _, p := range posts {
			if len(b.slots) < boardSize && b.slot(p.ID) < 0 {
				b.slots = append(b.slots, slot{post: p.ID})
			}
		}
	}
	f.Posts, err = b.posts(ctx)
	return f, err
}

// likedLately lists posts that were liked since the last look. Where there is more than it reads it skips.
func (b *board) likedLately(ctx context.Context, now time.Time) (posts []liked.PostID, err error) {
	fresh := now.Sub(b.looked) > forgotten
	ends, err := b.store.LogEnds(ctx)
	if err != nil {
		return nil, err
	}
	for p, end := range ends {
		if !fresh && end > b.at[p] {
			entries, err := b.store.LikeLog(ctx, p, b.at[p], maxEntries)
			if err != nil {
				return nil, err
			}
			for _, e := range entries {
				if e.On && !slices.Contains(posts, e.Post) {
					posts = append(posts, e.Post)
				}
			}
		}
		b.at[p] = max(b.at[p], end)
	}
	return posts, nil
}

// arrange notes which posts were liked, and gives at most one post a place that has none.
func (b *board) arrange(posts []liked.PostID, now time.Time) {
	var waiting liked.PostID
	for _, id := range posts {
		if i := b.slot(id); i >= 0 {
			b.slots[i].liked = now
		} else {
			waiting = id
		}
	}
	if waiting == 0 {
		return
	}
	if len(b.slots) < boardSize {
		b.slots = append(b.slots, slot{waiting, now})
		return
	}
	oldest := slices.MinFunc(b.slots, func(a, b slot) int { return a.liked.Compare(b.liked) })
	if now.Sub(oldest.liked) > settled {
		b.slots[b.slot(oldest.post)] = slot{waiting, now}
	}
}

func (b *board) slot(id liked.PostID) int {
	return slices.IndexFunc(b.slots, func(s slot) bool { return s.post == id })
}

// posts returns those on the board that a caller without a user may see, and takes the others off it.
func (b *board) posts(ctx context.Context) ([]web.HomePost, error) {
	ids := make([]liked.PostID, len(b.slots))
	for i, s := range b.slots {
		ids[i] = s.post
	}
	seen, err := b.store.Posts(ctx, 0, ids)
	if err != nil {
		return nil, err
	}
	var authors []liked.UserID
	for _, s := range seen {
		if s.Err == nil {
			authors = append(authors, s.Post.Author)
		}
	}
	users, err := b.store.UsersByID(ctx, authors)
	if err != nil {
		return nil, err
	}
	posts := make([]web.HomePost, 0, len(seen))
	kept := b.slots[:0]
	for i, s := range seen {
		author := slices.IndexFunc(users, func(u liked.User) bool { return u.ID == s.Post.Author })
		// The author is read at a later moment.
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
	n := 0
	for i := range text {
		if n++; n > maxText {
			return text[:i] + "…"
		}
	}
	return text
}

// live sends server-sent events, each of them all that the page shows, whenever that changes. A viewer that is too slow is
// cut, and misses nothing.
func (h *Home) live(w http.ResponseWriter, r *http.Request, x *exchange.Exchange) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	select {
	case h.viewers <- struct{}{}:
		defer func() { <-h.viewers }()
	default:
		header.Set("Retry-After", "30")
		x.Status = http.StatusServiceUnavailable
		w.WriteHeader(x.Status)
		return
	}
	control := http.NewResponseController(w)
	// The server's own time limit for a request would end this one.
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		x.Status, x.Err = http.StatusInternalServerError, fmt.Errorf("live view: %w", err)
		w.WriteHeader(x.Status)
		return
	}
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	if r.ProtoMajor == 1 {
		header.Set("Connection", "close") // the deadlines of this answer are no good for another
	}
	x.Status = http.StatusOK
	w.WriteHeader(x.Status)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var last []byte
	var sent time.Time
	for {
		f, err := h.look(r.Context())
		f.PerSecond = h.rate.now()
		text, jsonErr := json.Marshal(f)
		if x.Err = errors.Join(err, jsonErr); x.Err != nil { // the page says what is wrong when it is loaded again
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

// rate is how fast likes come.
type rate struct{ perSecond atomic.Value } // a string

// rateOver is how many seconds the rate is a mean of.
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

// words writes a rate with as few digits as can be read while it changes.
func words(perSecond float64) string {
	if perSecond > 0 && perSecond < 10 {
		return fmt.Sprintf("%.1f", perSecond)
	}
	return web.Count(int64(perSecond + 0.5))
}
