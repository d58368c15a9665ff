package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// sleeper is an alarm on the clock of a synctest bubble.
type sleeper struct{}

func (sleeper) until(at time.Time) { time.Sleep(time.Until(at)) }
func (sleeper) close()             {}

// script is a subject whose calls do what the function says, which is given the number of the call.
func script(callers int, rate float64, do func(ctx context.Context, n int) (kind int, err error)) Subject {
	var n atomic.Int64
	connect := func(ctx context.Context, _ int) (Call, error) {
		return scripted(func() (int, error) { return do(ctx, int(n.Add(1))) }), nil
	}
	return Subject{Name: "script", Callers: callers, Rate: rate, Kinds: []string{"a", "b"}, Connect: connect}
}

type scripted func() (int, error)

func (s scripted) Do() (int, error) { return s() }
func (scripted) Close()             {}

// drive drives the subject on a clock that costs no time.
func drive(t *testing.T, s Subject, d time.Duration) (r Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var err error
		if r, err = s.drive(t.Context(), 1, d, func() (alarm, error) { return sleeper{}, nil }); err != nil {
			t.Error(err)
		}
	})
	return r
}

// someCalls drives the subject for so long, or for longer if the machine is so busy that no call was made.
func someCalls(t *testing.T, s Subject, d time.Duration) Result {
	t.Helper()
	for ; ; d *= 2 {
		r, err := s.Drive(t.Context(), 1, d)
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		if r.calls()+r.Unanswered > 0 || d > time.Minute {
			return r
		}
	}
}

// about reports whether a latency is what it should be, but for the 0.1 % that a histogram rounds by.
func about(got int64, want time.Duration) bool {
	w := want.Microseconds()
	return got >= w-w/500-1 && got <= w+w/500+1
}

// stall answers within a millisecond, but for one call which takes a second.
func stall(at int) func(context.Context, int) (int, error) {
	return func(_ context.Context, n int) (int, error) {
		time.Sleep(time.Millisecond)
		if n == at {
			time.Sleep(time.Second)
		}
		return 0, nil
	}
}

// A server that stalls for a second is charged for every call that was due in that second, sent or not.
func TestOpenLoopChargesAStall(t *testing.T) {
	r := drive(t, script(1, 100, stall(501)), 10*time.Second) // from the fifth second to the sixth
	if r.Offered != 1000 || r.Answered != 1000 || r.Unanswered != 0 {
		t.Errorf("%d offered, %d answered, %d not", r.Offered, r.Answered, r.Unanswered)
	}
	// 100 calls were due during the stall, and some ten more until the queue was gone. A tenth of all waited, half of
	// these for half a second or more, the unluckiest for the whole of it.
	for _, row := range []struct {
		name string
		got  int64
		want time.Duration
	}{
		{"p50", r.Latency.P50, time.Millisecond},
		{"p99", r.Latency.P99, 911 * time.Millisecond},
		{"max", r.Latency.Max, 1001 * time.Millisecond},
	} {
		if !about(row.got, row.want) {
			t.Errorf("%s is %d µs, want about %s", row.name, row.got, row.want)
		}
	}
	if p := r.Latency.P90; p < 1000 || p > 200_000 {
		t.Errorf("p90 is %d µs, which is not where the stall begins to show", p)
	}
	// The same stall in a closed loop is one call of a thousand: that is the omission.
	r = drive(t, script(1, 0, stall(501)), 10*time.Second)
	if !about(r.Latency.P999, time.Millisecond) || !about(r.Latency.Max, 1001*time.Millisecond) {
		t.Errorf("closed loop: p99.9 is %d µs, max %d µs", r.Latency.P999, r.Latency.Max)
	}
}

func TestOpenLoopKeepsItsRate(t *testing.T) {
	// Eight callers of 5 ms can do 1600 a second, of which 1000 are asked for.
	r := drive(t, script(8, 1000, func(context.Context, int) (int, error) { time.Sleep(5 * time.Millisecond); return 0, nil }), 2*time.Second)
	if r.Answered != 2000 || !about(r.Latency.Max, 5*time.Millisecond) || r.PerSecond < 990 || r.PerSecond > 1000 {
		t.Errorf("%d answered, %.0f a second, max %d µs", r.Answered, r.PerSecond, r.Latency.Max)
	}
	if r.Client.Late > 1 {
		t.Errorf("calls were %d µs late on a clock that is exact", r.Client.Late)
	}
	// One can do 200: the others wait for longer and longer, and the rest is given up.
	r = drive(t, script(1, 1000, func(ctx context.Context, _ int) (int, error) {
		select {
		case <-time.After(5 * time.Millisecond):
			return 0, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}), 10*time.Second)
	if want := int64(20 * 200); r.Answered < want-1 || r.Answered > want || r.Answered+r.Unanswered != r.Offered {
		t.Errorf("%d answered, %d not, of %d", r.Answered, r.Unanswered, r.Offered)
	}
	if !about(r.Latency.Max, 20*time.Second-20*time.Second/5) && r.Latency.Max < 15_000_000 {
		t.Errorf("the longest wait was %d µs", r.Latency.Max)
	}
}

func TestClosedLoop(t *testing.T) {
	r := drive(t, script(4, 0, func(_ context.Context, n int) (int, error) {
		time.Sleep(10 * time.Millisecond)
		return n % 2, nil
	}), time.Second)
	if r.Answered != 400 || r.Seconds != 1 || r.PerSecond != 400 || r.Offered != 0 || !about(r.Latency.P50, 10*time.Millisecond) {
		t.Errorf("%+v", r)
	}
	if a, b := r.Kinds["a"].Count, r.Kinds["b"].Count; a != 200 || b != 200 {
		t.Errorf("%d a, %d b", a, b)
	}
	var sum int64
	for i, n := range r.Over {
		if sum += n; i > 0 && i < hundredths && n != 4 {
			t.Errorf("%d answered in the hundredth %d", n, i)
		}
	}
	if sum != r.Answered || len(r.Over) != hundredths+1 {
		t.Errorf("%d answered over time", sum)
	}
}

// A caller that the machine lets begin only when the turn is over calls once: on a busy machine a short turn has a success.
func TestLateCallers(t *testing.T) {
	if r := drive(t, script(4, 0, func(context.Context, int) (int, error) { return 0, nil }), -1); r.Answered != 4 {
		t.Errorf("%d calls of 4 callers", r.Answered)
	}
}

// Whatever is not a success is counted by what it was, and is in no latency and no rate.
func TestFailuresAreCounted(t *testing.T) {
	r := drive(t, script(1, 0, func(_ context.Context, n int) (int, error) {
		time.Sleep(10 * time.Millisecond)
		switch {
		case n%10 == 0:
			return 0, &Refused{"429 Too Many Requests", "later"}
		case n%10 == 1:
			return 0, &Refused{"503 Service Unavailable", "never"}
		case n == 55:
			return 0, fmt.Errorf("no idea")
		}
		return 0, nil
	}), time.Second)
	if r.Answered != 79 || r.Latency.Count != 79 || r.PerSecond != 79 {
		t.Errorf("%d answered, %d latencies, %.0f a second", r.Answered, r.Latency.Count, r.PerSecond)
	}
	want := map[string]Failure{"429 Too Many Requests": {10, "later"}, "503 Service Unavailable": {10, "never"}, "no idea": {Count: 1}}
	for what, f := range want {
		if r.Errors[what] != f {
			t.Errorf("%s: %+v", what, r.Errors[what])
		}
	}
	if len(r.Errors) != len(want) {
		t.Errorf("%+v", r.Errors)
	}
	run := Run{Subjects: []string{"script"}, Turns: []map[string]Result{{"script": r}, {"script": r}}}
	const failures = "script: 20 × 429 Too Many Requests later\nscript: 20 × 503 Service Unavailable never\nscript: 2 × no idea "
	if err := run.Failures(); err == nil || err.Error() != failures {
		t.Errorf("got %v, want %s", err, failures)
	}
}

func TestManyKindsOfFailures(t *testing.T) {
	r := drive(t, script(1, 0, func(_ context.Context, n int) (int, error) {
		time.Sleep(time.Millisecond)
		return 0, fmt.Errorf("failure %d", n)
	}), time.Second)
	if len(r.Errors) != maxErrors+1 || r.Errors["other failures"].Count != 1000-maxErrors {
		t.Errorf("%d kinds, %d others", len(r.Errors), r.Errors["other failures"].Count)
	}
	run := Run{Subjects: []string{"script"}, Turns: []map[string]Result{{"script": r}}}
	if err := run.Failures(); err == nil {
		t.Error("a run without a success is no failure")
	}
}

// A caller that is never answered is cut off, and its wait is in the latencies.
func TestUnanswered(t *testing.T) {
	hang := func(ctx context.Context, n int) (int, error) {
		if n > 10 {
			<-ctx.Done()
			return 0, ctx.Err()
		}
		time.Sleep(time.Millisecond)
		return 0, nil
	}
	r := drive(t, script(2, 0, hang), time.Second)
	if r.Answered != 10 || r.Unanswered != 2 || !about(r.Latency.Max, time.Second+cutOff-5*time.Millisecond) {
		t.Errorf("closed: %d answered, %d not, max %d µs", r.Answered, r.Unanswered, r.Latency.Max)
	}
	r = drive(t, script(2, 100, hang), time.Second)
	if r.Answered != 10 || r.Unanswered != 90 || r.Latency.P50 < cutOff.Microseconds() {
		t.Errorf("open: %d answered, %d not, p50 %d µs", r.Answered, r.Unanswered, r.Latency.P50)
	}
}

func TestDriveEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for _, rate := range []float64{0, 10} {
			start := time.Now()
			s := script(2, rate, func(ctx context.Context, _ int) (int, error) { <-ctx.Done(); return 0, ctx.Err() })
			_, err := s.drive(ctx, 1, time.Minute, func() (alarm, error) { return sleeper{}, nil })
			if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took > time.Second {
				t.Errorf("%g due in a second: %v after %s", rate, err, took)
			}
		}
	})
}

func TestUsageOfEachCall(t *testing.T) {
	s := script(1, 0, func(context.Context, int) (int, error) { time.Sleep(10 * time.Millisecond); return 0, nil })
	n := 0
	s.Usage = func(context.Context) (Usage, error) {
		n++
		return Usage{CPU: time.Duration(n) * time.Second, Changes: int64(50 * n), RSS: int64(n)}, nil
	}
	s.BuildCost = 1500 * time.Nanosecond
	if r := drive(t, s, time.Second); r.CPU != 10_000 || r.Changed != 0.5 || r.RSS != 2 || r.Client.Build != 1.5 {
		t.Errorf("%+v", r)
	}
}

// What this process spends on calls is known.
func TestClientCost(t *testing.T) {
	s := script(1, 0, func(context.Context, int) (int, error) {
		for end := cpuTime() + 2*time.Millisecond; cpuTime() < end; {
		}
		return 0, nil
	})
	if cpuTime() == 0 {
		t.Skip("this system does not tell what a process has used")
	}
	if r := someCalls(t, s, 100*time.Millisecond); r.Client.CPU < 2000 {
		t.Errorf("%.0f µs a call", r.Client.CPU)
	}
}

// What others take meanwhile is told apart from what client and subject take.
func TestOtherProcessesAreCounted(t *testing.T) {
	if machineTime() == 0 || processTime(os.Getpid()) == 0 && cpuTime() > time.Second {
		t.Skip("this system does not tell what processes have used")
	}
	other := exec.CommandContext(t.Context(), "sh", "-c", "while :; do :; done")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		other.Process.Kill()
		other.Wait()
	}()
	s := script(1, 0, func(context.Context, int) (int, error) { time.Sleep(time.Millisecond); return 0, nil })
	s.Usage = ownProcess
	beside := s
	beside.Usage = func(context.Context) (Usage, error) { return Usage{CPU: processTime(other.Process.Pid)}, nil }
	for deadline := time.Now().Add(time.Minute); ; {
		alone, err := s.Drive(t.Context(), 1, 200*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		with, err := beside.Drive(t.Context(), 1, 200*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if alone.Others > 0.05 && with.CPU > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("a process that never rests takes %.2f of the machine; as the subject it takes %.0f µs for each call", alone.Others, with.CPU)
		}
	}
}

// An alarm never rings early.
func TestAlarm(t *testing.T) {
	a, err := newAlarm()
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	for _, wait := range []time.Duration{-time.Second, 0, 1, time.Microsecond, 3 * time.Millisecond} {
		at := time.Now().Add(wait)
		if a.until(at); time.Now().Before(at) {
			t.Errorf("%s rang early", wait)
		}
	}
}
