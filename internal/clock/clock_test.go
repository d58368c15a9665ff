package clock_test

import (
	"context"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"liked"
	"liked/internal/clock"
)

func set[T any](v T) *T { return &v }

func TestUnmoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(time.Now)
		for _, nothing := range []clock.Change{{}, {Frozen: set(false)}, {Speed: set(1.0)}, {Now: set(time.Now())}} {
			if s, err := c.Set(nothing); err != nil || s.Moved {
				t.Errorf("after %+v the clock is %+v, %v", nothing, s, err)
			}
		}
		time.Sleep(time.Hour)
		if s := c.State(); !s.Now.Equal(time.Now()) || s.Frozen || s.Speed != 1 || s.Moved || !c.Now().Equal(time.Now()) {
			t.Errorf("the clock is %+v at %v", s, time.Now())
		}
	})
}

func TestMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, begun := clock.New(time.Now), time.Now()
		is := func(passed time.Duration) {
			t.Helper()
			if got := c.Now().Sub(begun); got != passed {
				t.Fatalf("the clock has moved by %v, want %v", got, passed)
			}
		}
		change := func(what clock.Change) {
			t.Helper()
			if s, err := c.Set(what); err != nil || !s.Moved || !s.Now.Equal(c.Now()) {
				t.Fatalf("%+v, %v", s, err)
			}
		}
		if s, err := c.Advance(15 * time.Minute); err != nil || !s.Now.Equal(begun.Add(15*time.Minute)) || s.Frozen || s.Speed != 1 {
			t.Fatalf("%+v, %v", s, err)
		}
		time.Sleep(time.Minute)
		is(16 * time.Minute)
		change(clock.Change{Frozen: set(true)})
		time.Sleep(time.Minute)
		is(16 * time.Minute)
		if s, err := c.Advance(time.Minute); err != nil || !s.Frozen {
			t.Fatalf("%+v, %v: what is left out must stay", s, err)
		}
		change(clock.Change{Speed: set(60.0)})
		time.Sleep(time.Minute)
		is(17 * time.Minute)
		change(clock.Change{Frozen: set(false)})
		time.Sleep(time.Minute)
		is(77 * time.Minute)
		change(clock.Change{Now: set(begun.Add(24 * time.Hour)), Speed: set(0.5)})
		time.Sleep(time.Minute)
		is(24*time.Hour + 30*time.Second)

		before := c.State()
		if _, err := c.Set(clock.Change{Now: set(begun)}); liked.KindOf(err) != liked.Conflict {
			t.Errorf("setting it back: %v", err)
		}
		if _, err := c.Advance(-1); liked.KindOf(err) != liked.Conflict {
			t.Errorf("advancing it backwards: %v", err)
		}
		for _, speed := range []float64{0, -1, clock.MaxSpeed + 1, math.NaN(), math.Inf(1)} {
			if _, err := c.Set(clock.Change{Speed: &speed}); liked.KindOf(err) != liked.Invalid {
				t.Errorf("speed %v: %v", speed, err)
			}
		}
		if _, err := c.Advance(100 * 365 * 24 * time.Hour); liked.KindOf(err) != liked.Invalid {
			t.Errorf("beyond the end: %v", err)
		}
		if c.State() != before {
			t.Errorf("refused changes made %+v of %+v", c.State(), before)
		}
		c.Restore(clock.State{})
		if s := c.State(); s.Moved || !s.Now.Equal(time.Now()) {
			t.Errorf("restored to the real time, it is %+v", s)
		}
		c.Restore(before)
		if c.State() != before {
			t.Errorf("restored %+v, want %+v", c.State(), before)
		}
	})
}

func TestEndOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(time.Now)
		if _, err := c.Set(clock.Change{Now: set(time.Date(2079, 12, 31, 0, 0, 0, 0, time.UTC)), Speed: set(86400.0)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1e6 * time.Hour)
		if got := c.Now(); !got.Equal(time.Date(2080, 1, 1, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("the clock went on to %v", got)
		}
	})
}

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(time.Now)
		var woke atomic.Bool
		sleep := func(d time.Duration) {
			woke.Store(false)
			go func() { c.Sleep(t.Context(), d); woke.Store(true) }()
			synctest.Wait()
		}
		is := func(wanted bool, when string) {
			t.Helper()
			synctest.Wait()
			if woke.Load() != wanted {
				t.Fatalf("%s: woke is %v", when, woke.Load())
			}
		}
		change := func(s clock.Change) {
			t.Helper()
			if _, err := c.Set(s); err != nil {
				t.Fatal(err)
			}
		}
		sleep(time.Hour)
		time.Sleep(time.Hour - 1)
		is(false, "before the hour, real")
		time.Sleep(time.Nanosecond)
		is(true, "after the hour, real")

		sleep(time.Hour)
		change(clock.Change{Frozen: set(true)})
		time.Sleep(2 * time.Hour)
		is(false, "frozen")
		_, _ = c.Advance(time.Hour - 1)
		is(false, "just before it is due")
		_, _ = c.Advance(1)
		is(true, "moved to when it is due")

		sleep(time.Hour)
		change(clock.Change{Speed: set(60.0), Frozen: set(false)})
		time.Sleep(time.Minute - 1)
		is(false, "a fast minute is not over")
		time.Sleep(time.Nanosecond)
		is(true, "a fast minute")

		sleep(time.Millisecond)
		time.Sleep(9 * time.Millisecond)
		is(false, "no timer is shorter than that")
		time.Sleep(time.Millisecond)
		is(true, "the shortest")

		ctx, cancel := context.WithCancel(t.Context())
		change(clock.Change{Frozen: set(true)})
		go func() { c.Sleep(ctx, time.Hour); woke.Store(true) }()
		woke.Store(false)
		is(false, "frozen, with a context")
		cancel()
		is(true, "the context ended")
	})
}

func TestReads(t *testing.T) {
	c := clock.New(time.Now)
	_, _ = c.Advance(time.Hour)
	if n := testing.AllocsPerRun(100, func() { c.Now() }); n != 0 {
		t.Errorf("reading the clock allocates %v times", n)
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"15m0s": "15m", "24h": "24h", "1h20m0s": "1h20m", "1h0m5s": "1h5s", "90s": "1m30s", "0": "0s",
		"10m0.5s": "10m0.5s", "-20m": "-20m"} {
		var d, again clock.Duration
		if err := d.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if d.String() != want {
			t.Errorf("%s is written %s, want %s", text, d, want)
		}
		if err := again.UnmarshalText([]byte(d.String())); err != nil || again != d {
			t.Errorf("%s is read as %s, %v", d, again, err)
		}
	}
}
