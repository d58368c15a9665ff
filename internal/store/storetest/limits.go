package storetest

import (
	"fmt"
	"sync/atomic"
	"time"

	"liked"
	"liked/internal/store"
)

var limitTests = []test{
	{"window", limitWindow},
	{"all windows or none", limitAllOrNone},
	{"the app's window is shared by its users", limitApp},
	{"the clock goes back", limitClock},
	{"other rules", limitOtherRules},
	{"give back", limitGiveBack},
	{"what is left", limitLeft},
	{"windows are listed and reset", limitWindows},
	{"many at once", limitRace},
	{"nonces", nonces},
	{"one nonce many times at once", nonceRace},
	{"nonces are forgotten by the time of signed requests", noncesForgotten},
	{"windows and nonces are kept", limitsKept},
	{"windows and nonces are durable with the next write", limitsWithWrite},
	{"windows and nonces are durable within a second", limitsAlone},
	{"closed", limitsClosed},
}

var (
	quarter = liked.RateRule{Window: 15 * time.Minute, Max: 3}
	daily   = liked.RateRule{Window: 24 * time.Hour, Max: 5}
)

// takes counts a request of the user and returns the states of the rules.
func (t *T) takes(s store.Store, at time.Time, user int, rules ...liked.RateRule) ([]liked.RateState, bool) {
	t.Helper()
	states, ok, err := s.Take(t.ctx, at, "usersIdLike", 1, uid(user), rules, nil)
	t.noError(err)
	if len(states) != len(rules) {
		t.Fatalf("Take: got %d states of %d rules", len(states), len(rules))
	}
	return states, ok
}

// take counts one request more in a window that never ends nor fills, and returns how many it has counted.
func (t *T) take(s store.Store) int {
	const plenty = 1 << 30
	states, ok, err := s.Take(t.ctx, start, "load", 1, uid(1), []liked.RateRule{{Window: 24 * time.Hour, Max: plenty}}, nil)
	if err != nil || !ok {
		t.Errorf("Take: got %v, %v", ok, err)
		return 0
	}
	return plenty - states[0].Remaining
}

func limitWindow(t *T) {
	s := t.open()
	first := start.Add(400 * time.Millisecond)
	reset := start.Add(15 * time.Minute) // in whole seconds
	for i := range 3 {
		states, ok := t.takes(s, first.Add(time.Duration(i)*time.Minute), 1, quarter)
		if !ok || states[0].RateRule != quarter || states[0].Remaining != 2-i || !states[0].Reset.Equal(reset) {
			t.Errorf("request %d: got %+v, %v; want remaining %d, reset %v", i+1, states, ok, 2-i, reset)
		}
	}
	if states, ok := t.takes(s, reset.Add(-time.Nanosecond), 1, quarter); ok || states[0].Remaining != 0 || !states[0].Reset.Equal(reset) {
		t.Errorf("just before the reset: got %+v, %v; want a refusal", states, ok)
	}
	for what, take := range map[string]func() (_ []liked.RateState, ok bool, err error){
		"another user": func() (_ []liked.RateState, ok bool, err error) {
			return s.Take(t.ctx, first, "usersIdLike", 1, uid(2), []liked.RateRule{quarter}, nil)
		},
		"another app": func() (_ []liked.RateState, ok bool, err error) {
			return s.Take(t.ctx, first, "usersIdLike", 2, uid(1), []liked.RateRule{quarter}, nil)
		},
		"another operation": func() (_ []liked.RateState, ok bool, err error) {
			return s.Take(t.ctx, first, "usersIdUnlike", 1, uid(1), []liked.RateRule{quarter}, nil)
		},
		"no rules": func() (_ []liked.RateState, ok bool, err error) {
			return s.Take(t.ctx, first, "usersIdLike", 1, uid(1), nil, nil)
		},
	} {
		if _, ok, err := take(); !ok || err != nil {
			t.Errorf("%s: got %v, %v; want it let in", what, ok, err)
		}
	}
	states, ok := t.takes(s, reset, 1, quarter)
	if !ok || states[0].Remaining != 2 || !states[0].Reset.Equal(reset.Add(15*time.Minute)) {
		t.Errorf("at the reset: got %+v, %v; want a new window", states, ok)
	}
}

// limitAllOrNone: a request that one rule refuses does not use up another.
func limitAllOrNone(t *T) {
	s := t.open()
	for i := range 5 {
		if _, ok := t.takes(s, start.Add(time.Duration(i/3)*15*time.Minute), 1, quarter, daily); !ok {
			t.Errorf("request %d is refused", i+1)
		}
	}
	for range 3 {
		states, ok := t.takes(s, start.Add(16*time.Minute), 1, quarter, daily)
		if ok || states[0].Remaining != 1 || states[1].Remaining != 0 {
			t.Errorf("got %+v, %v; want the daily window used up and the short one untouched", states, ok)
		}
	}
}

func limitApp(t *T) {
	s := t.open()
	whole := liked.RateRule{App: true, Window: 24 * time.Hour, Max: 2}
	for u := range 2 {
		if _, ok := t.takes(s, start, 1+u, quarter, whole); !ok {
			t.Errorf("user %d is refused", 1+u)
		}
	}
	if states, ok := t.takes(s, start, 3, quarter, whole); ok || states[0].Remaining != 3 {
		t.Errorf("third user: got %+v, %v; want a refusal by the app's window alone", states, ok)
	}
}

func limitClock(t *T) {
	s := t.open()
	t.takes(s, start, 1, quarter)
	earlier := start.Add(-time.Hour)
	states, ok := t.takes(s, earlier, 1, quarter)
	if want := earlier.Add(15 * time.Minute); !ok || states[0].Remaining != 1 || !states[0].Reset.Equal(want) {
		t.Errorf("got %+v, %v; want the count kept and reset %v", states, ok, want)
	}
}

// limitOtherRules: a restart may bring other rules. What is kept of the old ones makes room.
func limitOtherRules(t *T) {
	s := t.Open(t)
	for i := range 10 {
		rule := liked.RateRule{Window: time.Duration(1+i) * time.Hour, Max: 5}
		for n := range 6 {
			states, ok := t.takes(s, start, 1, quarter, rule)
			if want := n < 3 && i == 0; ok != want {
				t.Errorf("rule %d, request %d: got %+v, %v; want %v", i, n, states, ok, want)
			}
		}
		if states, ok := t.takes(s, start, 1, rule); !ok || i > 0 && states[0].Remaining != 4 {
			t.Errorf("rule %d: got %+v, %v; want a new window", i, states, ok)
		}
		s = t.Reopen(t, s)
	}
	t.end(s)
}

func limitGiveBack(t *T) {
	s := t.Open(t)
	rules := []liked.RateRule{quarter, {App: true, Window: time.Hour, Max: 3}}
	give := func(at time.Time, rules ...liked.RateRule) {
		t.Helper()
		t.ok(s.GiveBack(t.ctx, at, "usersIdLike", 1, uid(1), rules))
	}
	give(start, rules...) // nothing was taken
	for i := range 10 {
		if _, ok := t.takes(s, start, 1, rules...); !ok {
			t.Errorf("request %d is refused although all before were given back", i+1)
		}
		give(start, rules...)
	}
	give(start, rules...) // there is nothing left to give
	s = t.Reopen(t, s)
	t.end(s)
	for i := range 3 {
		if states, _ := t.takes(s, start, 1, rules...); states[0].Remaining != 2-i || states[1].Remaining != 2-i {
			t.Errorf("after reopening: got %+v", states)
		}
	}
	later := start.Add(15 * time.Minute)
	t.takes(s, later, 1, quarter)
	give(start, quarter) // of a window that has ended
	if states, _ := t.takes(s, later, 1, quarter); states[0].Remaining != 1 {
		t.Errorf("a window has %d left, want 1", states[0].Remaining)
	}
}

// limitLeft: to ask what is left counts nothing and opens no window.
func limitLeft(t *T) {
	s := t.open()
	rules := []liked.RateRule{quarter, {App: true, Window: time.Hour, Max: 4}}
	left := func(at time.Time, user int, want ...int) {
		t.Helper()
		for range 5 {
			states, err := s.Left(t.ctx, at, "usersIdLike", 1, uid(user), rules, nil)
			t.noError(err)
			for i, r := range rules {
				opened := start
				if want[i] == r.Max {
					opened = at
				}
				if got := states[i]; got.RateRule != r || got.Remaining != want[i] || !got.Reset.Equal(opened.Add(r.Window)) {
					t.Errorf("user %d at %v: got %+v, want %d left until %v", user, at, got, want[i], opened.Add(r.Window))
				}
			}
		}
	}
	left(start.Add(-time.Minute), 1, 3, 4)
	for i := range 3 {
		t.takes(s, start, 1, rules...)
		left(start.Add(time.Minute), 1, 2-i, 3-i)
	}
	left(start.Add(time.Minute), 2, 3, 1) // of the app's other user
	left(start.Add(15*time.Minute), 1, 3, 1)
	if states, ok := t.takes(s, start.Add(20*time.Minute), 1, rules...); !ok || states[0].Remaining != 2 ||
		!states[0].Reset.Equal(start.Add(35*time.Minute)) {
		t.Errorf("got %+v, %v; want a window that opens with its first request", states, ok)
	}
}

func limitWindows(t *T) {
	s := t.open()
	rules := []liked.RateRule{quarter, daily, {App: true, Window: 24 * time.Hour, Max: 9}}
	for _, c := range []struct {
		operation string
		app       liked.AppID
		user      int
	}{{"usersIdLike", 1, 1}, {"usersIdLike", 1, 1}, {"usersIdLike", 1, 2}, {"usersIdUnlike", 1, 1}, {"usersIdLike", 2, 1}} {
		_, _, err := s.Take(t.ctx, start, c.operation, c.app, uid(c.user), rules, nil)
		t.noError(err)
	}
	list := func(at time.Time, of store.Callers) (all []string) {
		t.Helper()
		windows, err := s.Windows(t.ctx, at, of)
		t.noError(err)
		for _, w := range windows {
			same(t, "the end of a window", w.Reset, start.Add(w.Length))
			all = append(all, fmt.Sprintf("%s %v/%v %v %d", w.Operation, w.App, w.User, w.Length.Hours(), w.Count))
		}
		return all
	}
	name := func(operation string, app, user int, hours float64, n int) string {
		u := liked.UserID(0)
		if user > 0 {
			u = uid(user)
		}
		return fmt.Sprintf("%s %v/%v %v %d", operation, app, u, hours, n)
	}
	same(t, "the windows of a user", list(start, store.Callers{App: 1, User: uid(1)}), []string{
		name("usersIdLike", 1, 1, .25, 2), name("usersIdLike", 1, 1, 24, 2),
		name("usersIdUnlike", 1, 1, .25, 1), name("usersIdUnlike", 1, 1, 24, 1)})
	same(t, "the windows of an operation of an app", list(start, store.Callers{Operation: "usersIdLike", App: 1}), []string{
		name("usersIdLike", 1, 0, 24, 3), name("usersIdLike", 1, 1, .25, 2), name("usersIdLike", 1, 1, 24, 2),
		name("usersIdLike", 1, 2, .25, 1), name("usersIdLike", 1, 2, 24, 1)})
	same(t, "the windows after an hour", list(start.Add(time.Hour), store.Callers{Operation: "usersIdUnlike"}), []string{
		name("usersIdUnlike", 1, 0, 24, 1), name("usersIdUnlike", 1, 1, 24, 1)})
	same(t, "all windows", len(list(start, store.Callers{})), 11)

	n, err := s.ResetWindows(t.ctx, store.Callers{Operation: "usersIdLike", User: uid(1)})
	t.noError(err)
	same(t, "how many were reset", n, 2)
	same(t, "all windows", len(list(start, store.Callers{})), 7)
	states, _, err := s.Take(t.ctx, start, "usersIdLike", 1, uid(1), rules, nil)
	t.noError(err)
	same(t, "what is left after the reset", []int{states[0].Remaining, states[1].Remaining, states[2].Remaining}, []int{2, 4, 5})
	n, err = s.ResetWindows(t.ctx, store.Callers{Operation: "nothing"})
	t.noError(err)
	same(t, "how many were reset", n, 0)
	_, err = s.ResetWindows(t.ctx, store.Callers{})
	t.noError(err)
	s = t.Reopen(t, s)
	same(t, "all windows after a start", len(list(start, store.Callers{})), 0)
}

func limitRace(t *T) {
	s := t.open()
	rules := []liked.RateRule{{Window: time.Hour, Max: 100}, {App: true, Window: time.Hour, Max: 150}}
	var allowed atomic.Int64
	together(8, func(g int) {
		for range 100 {
			if _, ok := t.takes(s, start, 1+g%2, rules...); ok {
				allowed.Add(1)
			}
		}
	})
	same(t, "requests let in of 800", allowed.Load(), 150)
}

func nonces(t *T) {
	s := t.open()
	use := func(n int, fresh bool) {
		t.Helper()
		got, err := s.UseNonce(t.ctx, start, 1, hash("n", n), start.Add(time.Duration(n)*600*time.Millisecond))
		t.ok(err)
		same(t, "fresh", got, fresh)
	}
	for n := range 50 {
		use(n, true)
		use(n/2, false)
	}
}

func nonceRace(t *T) {
	s := t.open()
	var fresh atomic.Int64
	together(20, func(int) {
		for n := range 20 {
			ok, err := s.UseNonce(t.ctx, start, 1, hash("n", n), start.Add(time.Minute))
			if t.noError(err); ok {
				fresh.Add(1)
			}
		}
	})
	same(t, "nonces that were fresh of 20", fresh.Load(), 20)
}

// noncesForgotten: the time of signed requests may be earlier than that of others, and there may be no others.
func noncesForgotten(t *T) {
	use := func(s store.Store, n int, at time.Time, until time.Duration, fresh bool) {
		t.Helper()
		got, err := s.UseNonce(t.ctx, at, 1, hash("n", n), start.Add(until))
		t.ok(err)
		same(t, fmt.Sprint("nonce ", n, " is fresh"), got, fresh)
	}
	for _, counted := range []bool{false, true} {
		s := t.Open(t)
		use(s, 1, start, time.Minute, true)
		use(s, 2, start, time.Hour, true)
		use(s, 3, start.Add(10*time.Minute), time.Hour, true)
		if counted {
			t.takes(s, start.Add(24*time.Hour), 1, quarter)
		}
		t.Forget(t, s)
		s = t.Reopen(t, s)
		t.end(s)
		use(s, 2, start, time.Hour, false)
		use(s, 1, start, time.Minute, true)
	}
}

// limitsKept reopens the store again and again: what has not ended goes on, what has ended begins anew.
func limitsKept(t *T) {
	s := t.Open(t)
	for user := range 20 {
		for range user % 4 {
			t.takes(s, start, user+1, quarter, daily)
		}
		_, err := s.UseNonce(t.ctx, start, 1, hash("n", user), start.Add(10*time.Minute))
		t.ok(err)
		if user == 10 {
			t.ok(s.AddUser(t.ctx, newUser(1)))
		}
	}
	s = t.Reopen(t, s)
	for user := range 20 {
		states, ok := t.takes(s, start.Add(14*time.Minute), user+1, quarter, daily)
		if n := user % 4; ok != (n < 3) || states[0].Remaining != max(2-n, 0) || states[1].Remaining != 5-min(n+1, 3) {
			t.Errorf("user %d: got %+v, %v", user+1, states, ok)
		}
		fresh, err := s.UseNonce(t.ctx, start.Add(9*time.Minute), 1, hash("n", user), start.Add(10*time.Minute))
		t.ok(err)
		same(t, "a nonce is fresh after reopening", fresh, false)
	}
	s = t.Reopen(t, s)
	t.end(s)
	for user := range 20 {
		states, ok := t.takes(s, start.Add(30*time.Minute), user+1, quarter, daily)
		if n := min(user%4+1, 3); !ok || states[0].Remaining != 2 || states[1].Remaining != 4-n {
			t.Errorf("user %d, later: got %+v, %v", user+1, states, ok)
		}
	}
}

// leaves checks what a crash has left of one unit and one nonce.
func (t *T) leaves(crashed store.Store) {
	t.Helper()
	t.end(crashed)
	same(t, "units taken after a crash", t.take(crashed), 2)
	fresh, err := crashed.UseNonce(t.ctx, start, 1, hash("n"), start.Add(time.Minute))
	t.ok(err)
	same(t, "the nonce is fresh after a crash", fresh, false)
}

func limitsWithWrite(t *T) {
	s := t.open()
	t.people(s, 2)
	t.post(s, 1, 1)
	t.take(s)
	_, err := s.UseNonce(t.ctx, start, 1, hash("n"), start.Add(time.Minute))
	t.ok(err)
	t.like(s, 1, 1, true, true)
	t.leaves(t.Kill(t, s)())
}

func limitsAlone(t *T) {
	s := t.open()
	t.take(s)
	_, err := s.UseNonce(t.ctx, start, 1, hash("n"), start.Add(time.Minute))
	t.ok(err)
	for begun := time.Now(); ; {
		time.Sleep(time.Second)
		crashed := t.Kill(t, s)()
		windows, err := crashed.Windows(t.ctx, start, store.Callers{})
		t.ok(err)
		if len(windows) > 0 || time.Since(begun) > time.Minute { // a busy machine may need more than the second
			t.leaves(crashed)
			return
		}
		t.ok(crashed.Close())
	}
}

func limitsClosed(t *T) {
	s := t.open()
	t.take(s)
	t.ok(s.Close())
	_, ok, err := s.Take(t.ctx, start, "load", 1, 1, []liked.RateRule{quarter}, nil)
	t.fails(err, liked.Unavailable)
	same(t, "a closed store lets in", ok, false)
	_, err = s.Left(t.ctx, start, "load", 1, 1, []liked.RateRule{quarter}, nil)
	t.fails(err, liked.Unavailable)
	t.fails(s.GiveBack(t.ctx, start, "load", 1, 1, []liked.RateRule{quarter}), liked.Unavailable)
	_, err = s.UseNonce(t.ctx, start, 1, hash("n"), start)
	t.fails(err, liked.Unavailable)
}
