package limit_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"liked"
	"liked/internal/limit"
)

var (
	start   = time.Date(2024, 5, 1, 12, 0, 0, 400e6, time.UTC)
	quarter = limit.Rule{Window: 15 * time.Minute, Max: 3}
	daily   = limit.Rule{Window: 24 * time.Hour, Max: 5}
)

const (
	app  liked.AppID  = 7
	user liked.UserID = 9
)

func take(l *limit.Limiter, at time.Time, user liked.UserID, rules ...limit.Rule) ([]limit.State, bool) {
	return l.Take(at, "usersIdLike", app, user, rules, nil)
}

func TestWindow(t *testing.T) {
	l := limit.New(nil)
	reset := start.Truncate(time.Second).Add(15 * time.Minute)
	for i := range 3 {
		s, ok := take(l, start.Add(time.Duration(i)*time.Minute), user, quarter)
		if !ok || s[0].Remaining != 2-i || !s[0].Reset.Equal(reset) {
			t.Fatalf("request %d: %+v, %v; want remaining %d, reset %v", i+1, s, ok, 2-i, reset)
		}
	}
	if s, ok := take(l, reset.Add(-time.Nanosecond), user, quarter); ok || s[0].Remaining != 0 || !s[0].Reset.Equal(reset) {
		t.Errorf("just before the reset: %+v, %v; want refused", s, ok)
	}
	if _, ok := take(l, start, user+1, quarter); !ok {
		t.Error("another user is refused")
	}
	s, ok := take(l, reset, user, quarter)
	if !ok || s[0].Remaining != 2 || !s[0].Reset.Equal(reset.Add(15*time.Minute)) {
		t.Errorf("at the reset: %+v, %v; want a new window", s, ok)
	}
}

// A request that one rule refuses must not use up another.
func TestAllOrNothing(t *testing.T) {
	l := limit.New(nil)
	for i := range 5 {
		at := start.Add(time.Duration(i/3) * 15 * time.Minute)
		if _, ok := take(l, at, user, quarter, daily); !ok {
			t.Fatalf("request %d is refused", i+1)
		}
	}
	at := start.Add(16 * time.Minute)
	for range 3 {
		s, ok := take(l, at, user, quarter, daily)
		if ok || s[0].Remaining != 1 || s[1].Remaining != 0 {
			t.Fatalf("%+v, %v; want the daily window used up and the short one untouched", s, ok)
		}
	}
}

func TestAppRuleIsSharedByUsers(t *testing.T) {
	l := limit.New(nil)
	whole := limit.Rule{App: true, Window: 24 * time.Hour, Max: 2}
	for u := range liked.UserID(2) {
		if _, ok := take(l, start, u+1, quarter, whole); !ok {
			t.Fatalf("user %d is refused", u+1)
		}
	}
	if s, ok := take(l, start, 3, quarter, whole); ok || s[0].Remaining != 3 {
		t.Errorf("third user: %+v, %v; want refused by the app's window alone", s, ok)
	}
}

func TestClockGoesBack(t *testing.T) {
	l := limit.New(nil)
	take(l, start, user, quarter)
	earlier := start.Add(-time.Hour)
	s, ok := take(l, earlier, user, quarter)
	if want := earlier.Truncate(time.Second).Add(15 * time.Minute); !ok || s[0].Remaining != 1 || !s[0].Reset.Equal(want) {
		t.Errorf("%+v, %v; want the count kept and reset %v", s, ok, want)
	}
}

func TestRestore(t *testing.T) {
	var kept liked.RateWindows
	l := limit.New(func(w liked.RateWindows) { kept = w })
	before, _ := take(l, start, user, quarter, daily)
	second := start.Truncate(time.Second)
	want := liked.RateWindows{Operation: "usersIdLike", App: app, User: user, Windows: [4]liked.RateWindow{
		{Length: 15 * time.Minute, Opened: second, Count: 1}, {Length: 24 * time.Hour, Opened: second, Count: 1}}}
	if kept != want {
		t.Fatalf("kept %+v, want %+v", kept, want)
	}

	l = limit.New(nil)
	l.Restore(kept)
	after, ok := take(l, start.Add(time.Minute), user, quarter, daily)
	if !ok {
		t.Fatal("refused")
	}
	for i := range after {
		if after[i].Remaining != before[i].Remaining-1 || !after[i].Reset.Equal(before[i].Reset) {
			t.Errorf("after the restart: %+v, before it: %+v", after[i], before[i])
		}
	}
	l.Restore(kept)
	if s, _ := take(l, start, user, quarter); s[0].Remaining != 0 {
		t.Errorf("an old window replaced a newer count: %+v", s)
	}
}

// A restart may bring other rules. What is kept of the old ones makes room.
func TestOtherRules(t *testing.T) {
	var kept liked.RateWindows
	l := limit.New(func(w liked.RateWindows) { kept = w })
	for i := range 10 {
		rule := limit.Rule{Window: time.Duration(1+i) * time.Hour, Max: 5}
		for n := range 6 {
			s, ok := take(l, start, user, quarter, rule)
			if want := n < 3 && i == 0; ok != want {
				t.Fatalf("rule %d, request %d: %+v, %v; want %v", i, n, s, ok, want)
			}
		}
		if s, ok := take(l, start, user, rule); !ok || i > 0 && s[0].Remaining != 4 {
			t.Fatalf("rule %d: %+v, %v; want a new window", i, s, ok)
		}
		before := kept
		l = limit.New(func(w liked.RateWindows) { kept = w })
		l.Restore(before)
	}
}

func TestConcurrent(t *testing.T) {
	l := limit.New(nil)
	rules := []limit.Rule{{Window: time.Hour, Max: 100}, {App: true, Window: time.Hour, Max: 150}}
	var allowed atomic.Int64
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for range 100 {
				if _, ok := l.Take(start, "op", app, liked.UserID(1+g%2), rules, nil); ok {
					allowed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got := allowed.Load(); got != 150 {
		t.Errorf("%d of 800 requests allowed, want 150", got)
	}
}

// Memory is bounded by the windows that are open, not by the callers ever seen.
func TestEndedWindowsAreForgotten(t *testing.T) {
	l := limit.New(nil)
	at := start
	for range 20 {
		for u := range liked.UserID(20_000) {
			take(l, at, u+1, quarter)
		}
		at = at.Add(time.Hour)
	}
	if n := l.Open(); n > 150_000 {
		t.Errorf("%d windows held for 20,000 callers", n)
	}
}

func BenchmarkTake(b *testing.B) {
	l := limit.New(nil)
	rules := []limit.Rule{{Window: 15 * time.Minute, Max: 1 << 40}, {Window: 24 * time.Hour, Max: 1 << 40}}
	var next atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		states := make([]limit.State, 0, 4)
		n := next.Add(1_000_000)
		for pb.Next() {
			n++
			l.Take(start, "usersIdLike", app, liked.UserID(n%1000), rules, states[:0])
		}
	})
}

func TestGiveBack(t *testing.T) {
	kept := map[liked.UserID]liked.RateWindows{}
	l := limit.New(func(w liked.RateWindows) { kept[w.User] = w })
	rules := []limit.Rule{quarter, {App: true, Window: time.Hour, Max: 3}}
	for i := range 10 {
		if _, ok := take(l, start, user, rules...); !ok {
			t.Fatalf("request %d is refused although all before were given back", i+1)
		}
		l.GiveBack(start, "usersIdLike", app, user, rules)
	}
	for _, user := range []liked.UserID{user, 0} {
		if w := kept[user]; w.Windows[0].Length == 0 || w.Windows[0].Count != 0 {
			t.Errorf("of user %d, %+v is kept, want a count of 0", user, w)
		}
	}
	l.GiveBack(start, "usersIdLike", app, user, rules) // there is nothing left to give
	for range 3 {
		take(l, start, user, quarter)
	}
	later := start.Add(15 * time.Minute)
	take(l, later, user, quarter)
	l.GiveBack(start, "usersIdLike", app, user, []limit.Rule{quarter}) // of a window that has ended
	if s, _ := take(l, later, user, quarter); s[0].Remaining != 1 {
		t.Errorf("a window has %d left, want 1", s[0].Remaining)
	}
}
