package webhook

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"liked"
	"liked/internal/clock"
	"liked/internal/store"
)

const (
	saveEvery = 500 * time.Millisecond // offsets; deliveries since then may be repeated after a crash
	idleEvery = time.Minute            // of log time between saves for an idle webhook
	lastCall  = 3 * time.Second        // for requests in progress at shutdown
	maxQueue  = 256                    // likes in a lane; beyond it the lane reads the log
)

// Run delivers until ctx ends. Then requests in progress have lastCall left, and all offsets are saved.
func (h *Hooks) Run(ctx context.Context) {
	h.mu.Lock()
	h.running = ctx
	h.mu.Unlock()
	h.reload(ctx)
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			h.save(ctx, false)
			h.mu.Lock()
			due := h.generation != h.Store.Generation(store.Webhooks) || time.Since(h.held) >= h.Lease/4
			if time.Since(h.held) > h.Lease*4/5 { // by this server's clock, which may be slower than the store's
				h.drop(func(*hook) bool { return true })
			}
			h.mu.Unlock()
			if due {
				h.reload(ctx)
			}
		case <-minute.C:
			h.reportLost(ctx)
		}
	}
	h.reloading.Lock()
	h.mu.Lock()
	h.running = nil
	names := []string{serverLease(h.number)}
	for id := range h.hooks {
		names = append(names, lease(id))
	}
	h.mu.Unlock()
	h.reloading.Unlock()
	h.lanes.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastCall)
	defer cancel()
	h.save(last, true)
	_ = h.Store.Release(last, names) // else they expire
	h.transport.CloseIdleConnections()
}

// Save makes durable now what was delivered, for a copy of the store.
func (h *Hooks) Save(ctx context.Context) { h.save(ctx, false) }

func lease(id liked.WebhookID) string { return "webhook/" + id.String() }

// drop ends delivery to the webhooks that gone selects, and the dispatchers after the last. h.mu must be held.
func (h *Hooks) drop(gone func(*hook) bool) {
	for id, k := range h.hooks {
		if gone(k) {
			delete(h.hooks, id)
			k.stop()
		}
	}
	if len(h.hooks) == 0 && h.stop != nil {
		h.stop()
		h.stop = nil
	}
}

// reload updates hooks from the store, and delivers to those that no other server does. Run retries a failure.
func (h *Hooks) reload(ctx context.Context) {
	h.reloading.Lock() // what is read later is applied later
	defer h.reloading.Unlock()
	h.mu.Lock()
	running := h.running != nil
	h.mu.Unlock()
	if !running {
		return
	}
	generation := h.Store.Generation(store.Webhooks)
	all, err := h.Store.Webhooks(ctx, 0)
	if err != nil {
		return
	}
	asked := time.Now()
	held, err := h.hold(ctx, all)
	if err != nil {
		return
	}
	there := make(map[liked.WebhookID]bool, len(all))
	var added []*hook
	for _, w := range all {
		if !held[w.ID] {
			continue
		}
		h.mu.Lock()
		k := h.hooks[w.ID]
		if k != nil && k.Webhook != w {
			k.Webhook = w
			close(k.changed)
			k.changed = make(chan struct{})
		}
		h.mu.Unlock()
		if k == nil {
			p, err := h.Store.Progress(ctx, w.ID)
			if liked.KindOf(err) == liked.NotFound {
				continue
			}
			if err != nil {
				return
			}
			added = append(added, newHook(h, w, p))
		}
		there[w.ID] = true
	}
	var ends liked.Positions
	if len(added) > 0 {
		if ends, err = h.Store.LogEnds(ctx); err != nil {
			return
		}
	}

	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running == nil {
		return
	}
	h.generation, h.held = generation, asked
	h.drop(func(k *hook) bool { return !there[k.id] })
	if h.stop == nil && len(added) > 0 {
		h.startDispatchers(begin(ends, added))
	}
	for _, k := range added {
		h.hooks[k.id] = k
		k.start(h.running)
	}
}

// hold takes or renews this server's share of the webhooks, those that it has first, and returns them. What it has beyond
// its share it renews no more, so that its requests have ended when another server takes over.
func (h *Hooks) hold(ctx context.Context, all []liked.Webhook) (map[liked.WebhookID]bool, error) {
	servers, err := h.servers(ctx)
	if err != nil {
		return nil, err
	}
	share := (len(all) + servers - 1) / servers
	var own, others []liked.WebhookID
	h.mu.Lock()
	for _, w := range all {
		if h.hooks[w.ID] != nil {
			own = append(own, w.ID)
		} else {
			others = append(others, w.ID)
		}
	}
	h.mu.Unlock()
	ids := slices.Concat(own[:min(len(own), share)], others)
	var names, excess []string
	for _, id := range ids {
		names = append(names, lease(id))
	}
	got, err := h.Store.Hold(ctx, names, h.Lease)
	if err != nil {
		return nil, err
	}
	held := make(map[liked.WebhookID]bool)
	for i, id := range ids {
		switch {
		case got[i] && len(held) < share:
			held[id] = true
		case got[i]:
			excess = append(excess, names[i])
		}
	}
	return held, h.Store.Release(ctx, excess)
}

// maxServers is the most servers that are counted.
const maxServers = 32

func serverLease(n int) string { return "webhooks/" + strconv.Itoa(n) }

// servers counts the servers that deliver, each of which holds a number. One that counts takes all free numbers for a
// moment, so a higher count holds once it is seen twice. h.reloading must be held.
func (h *Hooks) servers(ctx context.Context) (int, error) {
	var names []string
	for n := range maxServers {
		names = append(names, serverLease(n))
	}
	held, err := h.Store.Hold(ctx, names, h.Lease)
	if err != nil {
		return 0, err
	}
	before := h.counted
	h.number, h.counted = slices.Index(held, true), 1
	var free []string
	for n, mine := range held {
		switch {
		case !mine:
			h.counted++
		case n != h.number:
			free = append(free, names[n])
		}
	}
	return min(cmp.Or(before, h.counted), h.counted), h.Store.Release(ctx, free)
}

// begin returns where dispatchers begin: at the ends of the log, or at the oldest of the offsets saved shortly before,
// for a shared read. Lanes further behind read for themselves.
func begin(ends liked.Positions, hooks []*hook) liked.Positions {
	for p, end := range ends {
		for _, k := range hooks {
			if at := k.offsets[p]; at < ends[p] && end.Time().Sub(at.Time()) <= 2*idleEvery {
				ends[p] = at
			}
		}
	}
	return ends
}

// h.mu must be held.
func (h *Hooks) startDispatchers(at liked.Positions) {
	var ctx context.Context
	ctx, h.stop = context.WithCancel(h.running)
	h.dispatched = at
	for p := range liked.Partitions {
		h.lanes.Go(func() {
			for ctx.Err() == nil {
				_ = h.dispatch(ctx, p) // the store is closed or its disk fails, which it reports itself
				clock.Sleep(ctx, time.Second)
			}
		})
	}
}

// dispatch gives the lanes a partition's new likes, until an error.
func (h *Hooks) dispatch(ctx context.Context, partition int) error {
	h.mu.Lock()
	at := h.dispatched
	h.mu.Unlock()
	r, err := h.Log.Read(ctx, []int{partition}, at)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		_, entries, err := r.Next(ctx)
		if err != nil {
			return err
		}
		matches, err := h.match(ctx, entries)
		if err != nil {
			return err
		}
		h.mu.Lock()
		if err = ctx.Err(); err == nil {
			for id, deliveries := range matches {
				if k := h.hooks[id]; k != nil {
					k.push(partition, deliveries)
				}
			}
			h.dispatched[partition] = entries[len(entries)-1].Seq
		}
		h.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// delivery is a like, and the subscriptions of one webhook that it matches.
type delivery struct {
	event liked.LikeEvent
	subs  []*liked.Subscription
}

// match returns what to deliver to each webhook, in the order of entries.
func (h *Hooks) match(ctx context.Context, entries []liked.LikeEvent) (map[liked.WebhookID][]delivery, error) {
	var users []liked.UserID
	for _, e := range entries {
		if e.On {
			users = append(users, e.User, e.Author)
		}
	}
	about, err := h.subscribers.about(ctx, users)
	if err != nil || len(about) == 0 {
		return nil, err
	}
	matches := make(map[liked.WebhookID][]delivery)
	for _, e := range entries {
		for _, user := range slices.Compact([]liked.UserID{e.User, e.Author}) {
			for _, s := range about[user] {
				if s.Webhook == 0 || !s.Wants(e) {
					continue
				}
				d := matches[s.Webhook]
				if n := len(d); n > 0 && d[n-1].event.Seq == e.Seq {
					d[n-1].subs = append(d[n-1].subs, s)
				} else {
					matches[s.Webhook] = append(d, delivery{e, []*liked.Subscription{s}})
				}
			}
		}
	}
	return matches, nil
}

// subscribers caches the subscriptions about the users of the newest likes; most have none.
type subscribers struct {
	store Store

	mu    sync.Mutex
	known map[liked.UserID]subscribed
	size  int // of known
}

// subscribed is the immutable subscriptions about a user at a generation.
type subscribed struct {
	generation uint64
	subs       []*liked.Subscription
}

// maxKnown bounds the users plus subscriptions in the cache. A full one begins anew.
const maxKnown = 1 << 17

// about returns the subscriptions about those of the users who have any.
func (c *subscribers) about(ctx context.Context, users []liked.UserID) (map[liked.UserID][]*liked.Subscription, error) {
	about := make(map[liked.UserID][]*liked.Subscription)
	read := make(map[liked.UserID]subscribed)
	c.mu.Lock()
	for _, user := range users {
		now := c.store.SubscriptionGeneration(user)
		if known, ok := c.known[user]; !ok || known.generation != now {
			read[user] = subscribed{generation: now}
		} else if len(known.subs) > 0 {
			about[user] = known.subs
		}
	}
	c.mu.Unlock()
	if len(read) == 0 {
		return about, nil
	}
	subs, err := c.store.SubscriptionsAbout(ctx, slices.Collect(maps.Keys(read)))
	if err != nil {
		return nil, err
	}
	for i := range subs {
		about[subs[i].User] = append(about[subs[i].User], &subs[i])
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for user, s := range read {
		s.subs = about[user]
		if c.size += 1 + len(s.subs); c.known == nil || c.size > maxKnown {
			c.known, c.size = make(map[liked.UserID]subscribed), 1+len(s.subs)
		}
		c.known[user] = s
	}
	return about, nil
}

// stands reports whether the subscription still exists with the same webhook.
func (h *Hooks) stands(ctx context.Context, s *liked.Subscription) (bool, error) {
	about, err := h.subscribers.about(ctx, []liked.UserID{s.User})
	return slices.ContainsFunc(about[s.User], func(now *liked.Subscription) bool {
		return now.App == s.App && now.ID == s.ID && now.Webhook == s.Webhook
	}), err
}

// save stores the offsets of webhooks that have delivered, and of idle ones now and then: less to read after a crash,
// and the log does not drop entries that they seem to wait for.
func (h *Hooks) save(ctx context.Context, all bool) {
	offsets := make(map[liked.WebhookID]liked.Positions)
	h.mu.Lock()
	for id, k := range h.hooks {
		now := k.reached()
		later := time.Duration(0)
		for p, at := range now {
			later = max(later, at.Time().Sub(k.saved[p].Time()))
		}
		if now != k.saved && (all || k.delivered || later > idleEvery) {
			offsets[id], k.saved, k.delivered = now, now, false
		}
	}
	h.mu.Unlock()
	if len(offsets) == 0 {
		return
	}
	if err := h.Store.Advance(ctx, offsets); err != nil {
		if ctx.Err() == nil {
			h.Logger.Error("webhooks: offsets cannot be saved; what was delivered since may be delivered again after a restart", "error", err)
		}
		h.mu.Lock()
		for id := range offsets {
			if k := h.hooks[id]; k != nil {
				k.saved, k.delivered = liked.Positions{}, true
			}
		}
		h.mu.Unlock()
	}
}

// reportLost reports webhooks whose next entries the log has dropped.
func (h *Hooks) reportLost(ctx context.Context) {
	h.mu.Lock()
	hooks := slices.Collect(maps.Values(h.hooks))
	h.mu.Unlock()
	for _, k := range hooks {
		p, err := h.Store.Progress(ctx, k.id)
		if err != nil {
			continue // the webhook is gone, or the store failed, which it reports itself
		}
		h.mu.Lock()
		lost, why := p.Lost > k.lost, k.Why
		if lost {
			k.lost = p.Lost
			for i := range k.offsets {
				k.offsets[i] = max(k.offsets[i], p.Offsets[i])
			}
		}
		h.mu.Unlock()
		if lost {
			h.Count(Lost)
			h.Logger.Error("webhook: likes were forgotten before they could be delivered, for the like log keeps them for a time only",
				"webhook", k.id.String(), "app", k.app.String(), "before", p.Lost.Time(), "why", why)
		}
	}
}
