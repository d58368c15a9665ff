package storetest

import (
	"maps"
	"math/rand/v2"
	"time"

	"liked"
	"liked/internal/store"
)

var traceTests = []test{
	{"windows and nonces", traces},
	{"durable with the next write", tracesWithWrite},
	{"durable within a second", tracesAlone},
}

// load returns all windows with their place in time taken off, which makes them keys, and all nonces.
func (t *T) load(s store.Store, now time.Time) (windows map[liked.RateWindows]liked.RateWindows, nonces map[store.Hash]time.Time) {
	t.Helper()
	windows, nonces = make(map[liked.RateWindows]liked.RateWindows), make(map[store.Hash]time.Time)
	t.ok(s.LoadTraces(t.ctx, now, func(w liked.RateWindows) {
		key := windowKey(w)
		if _, twice := windows[key]; twice {
			t.Errorf("window %+v was loaded twice", key)
		}
		windows[key] = compact(w, now)
	}, func(h store.Hash, until time.Time) {
		if _, twice := nonces[h]; twice {
			t.Errorf("nonce %x was loaded twice", h)
		}
		nonces[h] = until
	}))
	return windows, nonces
}

func windowKey(w liked.RateWindows) liked.RateWindows {
	w.Windows = [4]liked.RateWindow{}
	return w
}

// compact leaves the windows that end after now, and those first, since their places mean nothing.
func compact(w liked.RateWindows, now time.Time) liked.RateWindows {
	c, n := windowKey(w), 0
	for _, w := range w.Windows {
		if w.Opened.Add(w.Length).After(now) {
			c.Windows[n] = w
			n++
		}
	}
	return c
}

func newWindow(n int) liked.RateWindows {
	w := liked.RateWindows{Operation: "usersIdLike", App: liked.AppID(1 + n/4), User: uid(n % 4)}
	w.Windows[0] = liked.RateWindow{Length: 15 * time.Minute, Opened: start, Count: 1 + n}
	if n%3 == 0 {
		w.Operation = "usersIdUnlike"
		w.Windows[3] = liked.RateWindow{Length: 24 * time.Hour, Opened: start.Add(-time.Hour), Count: 10 * n}
	}
	return w
}

func traces(t *T) {
	s := t.Open(t)
	windows, nonces := t.load(s, start)
	same(t, "windows of a new store", len(windows), 0)
	same(t, "nonces of a new store", len(nonces), 0)
	wantWindows, wantNonces := make(map[liked.RateWindows]liked.RateWindows), make(map[store.Hash]time.Time)
	for i := range 50 {
		w := newWindow(i % 20)
		w.Windows[0].Count = i
		s.KeepWindows(w)
		wantWindows[windowKey(w)] = w
		until := start.Add(time.Duration(i) * 600 * time.Millisecond)
		s.KeepNonce(hash("n", i), until)
		wantNonces[hash("n", i)] = until
		if i == 30 {
			t.ok(s.AddUser(t.ctx, newUser(1)))
		}
	}
	for _, now := range []time.Time{start.Add(-time.Second), start, start.Add(20 * time.Second), start.Add(15 * time.Minute), start.Add(48 * time.Hour)} {
		for key, w := range wantWindows {
			if w = compact(w, now); w == windowKey(w) {
				delete(wantWindows, key)
			} else {
				wantWindows[key] = w
			}
		}
		maps.DeleteFunc(wantNonces, func(_ store.Hash, until time.Time) bool { return !until.After(now) })
		for range 2 {
			windows, nonces = t.load(s, now)
			same(t, "windows", windows, wantWindows)
			same(t, "nonces", nonces, wantNonces)
			s = t.Reopen(t, s)
		}
	}
	t.end(s)
}

func tracesWithWrite(t *T) {
	s := t.open()
	t.people(s, 2)
	t.post(s, 1, 1)
	s.KeepWindows(newWindow(1))
	s.KeepNonce(hash("n"), start.Add(time.Minute))
	t.like(s, 1, 1, true, true)
	crashed := t.Crash(t, s, 0, rand.New(rand.NewPCG(1, t.rng.Uint64())))()
	t.end(crashed)
	windows, nonces := t.load(crashed, start)
	same(t, "windows", windows, map[liked.RateWindows]liked.RateWindows{windowKey(newWindow(1)): compact(newWindow(1), start)})
	same(t, "nonces", nonces, map[store.Hash]time.Time{hash("n"): start.Add(time.Minute)})
}

func tracesAlone(t *T) {
	s := t.open()
	s.KeepWindows(newWindow(1))
	s.KeepNonce(hash("n"), start.Add(time.Minute))
	time.Sleep(time.Second)
	crashed := t.Crash(t, s, 0, rand.New(rand.NewPCG(1, t.rng.Uint64())))()
	t.end(crashed)
	windows, nonces := t.load(crashed, start)
	same(t, "windows", len(windows), 1)
	same(t, "nonces", len(nonces), 1)
}
