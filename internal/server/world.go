package server

import (
	"context"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"liked/internal/admin"
	"liked/internal/api"
	"liked/internal/auth"
	"liked/internal/explorer"
	"liked/internal/home"
	"liked/internal/likelog"
	"liked/internal/oauth"
	"liked/internal/portal"
	"liked/internal/store"
	"liked/internal/webhook"
)

// world is a store and all that answers from it. `liked serve` has one; a development server replaces it whole, while
// requests go on: each is answered by the world that it entered.
type world struct {
	store    store.Store
	auth     *auth.Auth
	log      *likelog.Log // for all readers of likes
	hooks    *webhook.Hooks
	x        *api.API
	front    *front
	home     *home.Home
	operator http.Handler // of /admin/, without a token
	unlogged http.Handler // as operator, without a line in the log for each call; nil but in a development server

	working        sync.WaitGroup // what begin started
	stopWork       context.CancelFunc
	stopDelivering context.CancelFunc

	// Of a world that can be replaced.
	calls    atomic.Int64  // under way, plus leaving once it is being replaced
	idle     chan struct{} // gets a token when the last of them has ended after that
	replaced chan struct{} // closed once another world is there, or none will be
}

const leaving = math.MinInt64 / 2

func (s *Server) makeWorld(st store.Store) (*world, error) {
	ctx := context.Background()
	w := &world{store: st, idle: make(chan struct{}, 1), replaced: make(chan struct{})}
	options := auth.Options{Store: st, Seal: s.seal, Now: s.Now, Rand: cryptorand.Reader, BaseURL: s.baseURL, Dev: s.Dev}
	if s.clock != nil {
		options.Real = s.clock.Real
	}
	w.auth = auth.New(options)
	// The store reads its rate windows and nonces, so that the first request does not wait for them.
	if _, _, err := st.Take(ctx, s.Now(), "", 0, 0, nil, nil); err != nil {
		return w, fmt.Errorf("load rate windows: %w", err)
	}
	if err := s.loadSeed(w); err != nil {
		return w, err
	}
	w.log = likelog.New(st)
	hooks := webhook.Options{Store: st, Log: w.log, Secret: w.auth.APISecret, Now: s.Now, Sleep: s.sleep, Logger: s.Logger,
		Render: api.Activity(s.apiOptions(w)), Anywhere: s.PrivateWebhooks, Count: s.observer.attempted, Faults: s.faults}
	if s.journal != nil {
		hooks.Record = s.journal.Transport
	}
	w.hooks = webhook.New(hooks)
	var err error
	if w.x, err = api.New(s.apiOptions(w)); err != nil {
		return w, err
	}
	if err := s.makePages(w); err != nil {
		return w, err
	}
	admins := admin.Options{Auth: w.auth.Issuer, Hooks: w.hooks, Key: keyName(s.seal), Now: s.Now, Logger: s.Logger}
	if s.Dev {
		admins.Dev = &admin.Dev{Clock: s.clock, Worlds: s, Faults: s.faults, Rules: w.x.RateRules, Journal: s.journal,
			Operations: recorded()}
	}
	w.operator = adminHandler(st, admins)
	if s.Dev {
		admins.Logger = slog.New(slog.DiscardHandler)
		w.unlogged = adminHandler(st, admins)
	}
	return w, nil
}

func (s *Server) apiOptions(w *world) api.Options {
	return api.Options{Store: countedStore{w.store, s.observer, s.journal}, Auth: w.auth, Hooks: w.hooks, Log: w.log,
		Limits:  s.live.Load().limits,
		PageKey: [32]byte(derive(s.seal, "liked pagination tokens", 32)), Profile: s.profile, PrivateLikes: s.privateLikes,
		Now: s.Now, Explain: s.Dev, Observe: s.observer.observe, Address: s.clientAddress, Faults: s.faults}
}

func (s *Server) makePages(w *world) error {
	sessions, err := oauth.New(oauth.Options{Auth: w.auth, Store: w.store, BaseURL: s.pageURL, Now: s.Now,
		Address: s.clientAddress, Lifetime: s.TokenLifetime, PublicURL: s.publicURL, Explain: s.Dev, AutoConsent: s.AutoConsent,
		OneClick: s.Dev && s.openWorld(), Resets: s.resets(),
		NeedHint: s.profile == api.Profile2026,
		Observe:  s.observer.observe, Faults: s.faults})
	if err != nil {
		return err
	}
	developers := portal.New(portal.Options{Sessions: sessions, Auth: w.auth, Store: w.store, Hooks: w.hooks})
	start, err := s.explorerStart(context.Background(), w)
	if err != nil {
		return fmt.Errorf("API explorer: %w", err)
	}
	endpoints, err := explorer.New(sessions, w.x.Description(), start)
	if err != nil {
		return fmt.Errorf("API explorer: %w", err)
	}
	w.home = home.New(s.homeOptions(w))
	w.front = newFront(w.x, sessions, developers, endpoints, w.home)
	return nil
}

// begin starts a world's work: deliveries, the page's numbers, the removal of what has expired.
func (s *Server) begin(w *world) {
	var working, delivering context.Context
	working, w.stopWork = context.WithCancel(context.Background())
	delivering, w.stopDelivering = context.WithCancel(context.Background())
	w.working.Go(func() { s.sweep(working, w.store) })
	w.working.Go(func() { w.home.Run(working) })
	w.working.Go(func() { w.hooks.Run(delivering) })
}

// end ends a world that nobody calls any more.
func (w *world) end() error {
	w.stopWork()
	w.stopDelivering()
	w.working.Wait()
	return w.store.Close()
}

// sweepEvery is how often expired credentials are removed from the store. They are refused as soon as they expire.
const sweepEvery = 10 * time.Minute

func (s *Server) sweep(ctx context.Context, st store.Store) {
	for {
		if s.sleep(ctx, sweepEvery); ctx.Err() != nil {
			return
		}
		// For less than a turn, so that the death of the server that holds it delays no sweep by more than that.
		held, err := st.Hold(ctx, []string{"sweep"}, sweepEvery-time.Minute)
		if err == nil && held[0] {
			err = st.Sweep(ctx, s.Now())
		}
		if err != nil && ctx.Err() == nil {
			s.Logger.Error("expired credentials could not be removed", "error", err)
		}
	}
}

// current is the world that new calls enter.
func (s *Server) current() *world { return s.world.Load() }

// enter returns the world that answers a call; leave must follow.
func (s *Server) enter() *world {
	for {
		w := s.current()
		if w.calls.Add(1) > 0 {
			return w
		}
		w.leave()
		<-w.replaced
	}
}

func (w *world) leave() {
	if w.calls.Add(-1) == leaving {
		select {
		case w.idle <- struct{}{}:
		default:
		}
	}
}

// handler answers the API's requests. That of a server whose world stays as it is is the world's own.
func (s *Server) handler() http.Handler {
	if !s.Dev {
		return s.current().front
	}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := s.enter()
		defer w.leave()
		w.front.ServeHTTP(rw, r)
	})
}

// operator answers /admin/, without a token.
func (s *Server) operator() http.Handler {
	if !s.Dev {
		return s.current().operator
	}
	return s.calling(func(w *world) http.Handler { return w.operator })
}

// calling has a handler of the world of the moment answer.
func (s *Server) calling(of func(*world) http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := s.enter()
		w.leave() // a call that replaces its own world must not wait for itself
		of(w).ServeHTTP(rw, r)
	})
}

// leaveWorld ends a world's streams, waits until its calls have ended, for as long as patience, and ends it. New calls wait
// for the next one.
func (s *Server) leaveWorld(w *world, patience time.Duration) error {
	w.stopWork()
	w.stopDelivering()
	w.x.EndStreams()
	if w.calls.Add(leaving) != leaving {
		select {
		case <-w.idle:
		case <-time.After(patience):
			s.Logger.Warn("calls did not end in time for another world, and are refused by their store", "patience", patience)
		}
	}
	return w.end()
}

// enough is how long calls may keep a directory from becoming another world.
const enough = time.Second

// replace makes the world another one. In memory calls of the one before finish beside it. A directory is of one world at a
// time, so that new calls wait for the moment that takes.
func (s *Server) replace(m *moment) (err error) {
	before := s.current()
	var ended error
	if s.Data != "" {
		if ended = s.leaveWorld(before, enough); ended != nil {
			s.Logger.Error("the world before another one did not end well", "error", ended)
		}
		defer close(before.replaced)
	}
	st, err := m.store.Open()
	if err == nil {
		before.stopDelivering() // what it waits for may be past by the other clock
		clock := s.clock.State()
		s.clock.Restore(m.clock)
		var w *world
		if w, err = s.makeWorld(st); err == nil {
			s.faults.Replace(m.faults)
			s.begin(w)
			s.world.Store(w)
			s.console.Forget()
		} else {
			s.clock.Restore(clock)
			err = errors.Join(err, st.Close())
		}
	}
	if s.Data != "" && err != nil {
		before.calls.Add(-leaving) // its closed store refuses them
		s.broken <- fmt.Errorf("there is no world any more: %w", err)
	}
	if err != nil || s.Data != "" {
		return err
	}
	close(before.replaced)
	s.leavings.Go(func() {
		if err := s.leaveWorld(before, s.Grace); err != nil {
			s.Logger.Error("the world before another one did not end well", "error", err)
		}
	})
	return nil
}
