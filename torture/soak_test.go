package torture

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestSoak keeps the server busy with requests of all kinds, restarts it now and then, and looks for what grows: within the
// life of a process, and on the disk. The rate of requests is steady and their data does not grow.
func TestSoak(t *testing.T) {
	rng := dice(t)
	m := boot(t, "--users", "200", "--posts", "300", "--rate-limits", "off")
	var calls atomic.Int64
	lives, checked := 0, 0
	var worst []string
	outcome(t, "nothing grows", func() string {
		return fmt.Sprintf("%d lives, %d calls, %d series checked; the last life: %s", lives, calls.Load(), checked, strings.Join(worst, "; "))
	})
	const restarts = 4
	for ; lives < restarts && !t.Failed(); lives++ {
		idle := m.sample(t)
		stop := make(chan struct{})
		latency := new(latencies)
		var clients sync.WaitGroup
		for range 16 {
			rng := split(rng)
			clients.Go(func() { m.mixed(stop, rng, &calls, latency) })
		}
		series := make(map[string][]float64)
		life := *soak / restarts
		for i, start := 0, time.Now(); i < samples; i++ {
			time.Sleep(time.Until(start.Add(life * time.Duration(i+1) / samples)))
			for name, value := range m.sample(t) {
				series[name] = append(series[name], value)
			}
			n := latency.inProbes()
			for wait := time.Now(); n == 0 && time.Since(wait) < time.Minute && !t.Failed(); n = latency.inProbes() {
				time.Sleep(5 * time.Millisecond) // a busy machine may have answered nothing yet
			}
			if n > 0 {
				series[latencyInProbes] = append(series[latencyInProbes], n)
			}
		}
		close(stop)
		clients.Wait()
		worst = worst[:0]
		for name, limit := range growth {
			if len(series[name]) < samples/2 {
				t.Errorf("%s: %d samples are too few", name, len(series[name]))
				continue
			}
			checked++
			early, late := halves(series[name])
			worst = append(worst, fmt.Sprintf("%s %.1f to %.1f", name, early, late))
			if limit.exceeded(series[name]) {
				t.Errorf("%s grew from %.1f to %.1f, which is more than by half and %.0f: %.1f", name, early, late, limit.slack, series[name])
			}
		}
		slices.Sort(worst)
		m.becomesIdle(t, idle)
		if lives%2 == 0 {
			m.stop()
		} else {
			m.kill()
			m.check()
		}
		m.start()
	}
}

// samples is how many are taken of the life of a process.
const samples = 20

// growthLimit is how much more the second half of a life may need than the first: half as much again, and some.
type growthLimit struct{ slack float64 }

// growth has a limit for each thing that is watched. The store's tables come and go with compactions, and its block
// cache fills up to 64 MiB.
var growth = map[string]growthLimit{
	"goroutines":     {20},
	"open files":     {40},
	"heap in MiB":    {16},
	"memory in MiB":  {128},
	"files in store": {40},
	latencyInProbes:  {5},
}

// latencyInProbes is how long calls take, measured in calls of /livez, which does nothing: a machine that has other things
// to do makes both slower.
const latencyInProbes = "latency in probes"

// halves returns the medians of the first half without its first quarter, in which everything fills up, and of the end.
func halves(series []float64) (early, late float64) {
	median := func(s []float64) float64 {
		s = slices.Sorted(slices.Values(s))
		return s[len(s)/2]
	}
	n := len(series)
	return median(series[n/4 : n/2]), median(series[n*3/4:])
}

func (g growthLimit) exceeded(series []float64) bool {
	early, late := halves(series)
	return late > early*1.5+g.slack
}

// The limits must be exceeded by a leak, and only by one.
func TestGrowthIsDetected(t *testing.T) {
	rng := dice(t)
	for range 1000 {
		flat, leak := make([]float64, samples), make([]float64, samples)
		for i := range flat {
			noise := 100 * rng.Float64()
			flat[i], leak[i] = 200+noise, 200+noise+float64(i)*100
		}
		for range 2 { // another process had the machine
			flat[rng.IntN(samples)] += 1000
			leak[rng.IntN(samples)] += 1000
		}
		if (growthLimit{40}).exceeded(flat) {
			t.Fatalf("no growth is taken for some: %.0f", flat)
		}
		if !(growthLimit{40}).exceeded(leak) {
			t.Fatalf("growth is not noticed: %.0f", leak)
		}
	}
}

// sample is what the process needs at the moment, after a garbage collection.
func (m *machine) sample(t *testing.T) map[string]float64 {
	c := client(t)
	defer c.CloseIdleConnections()
	if a, err := send(c, m.AdminURL, get("/debug/pprof/heap?gc=1", bearer(m.AdminToken))); err != nil || a.status != 200 {
		t.Fatalf("/debug/pprof/heap: %d %v", a.status, err)
	}
	files, err := filepath.Glob(filepath.Join(m.dir, "store", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the store has no files: %v", err)
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", m.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]float64{
		"goroutines":     m.metric(c, "go_goroutines"),
		"open files":     float64(len(open)),
		"heap in MiB":    m.metric(c, "go_memstats_heap_alloc_bytes") / (1 << 20),
		"memory in MiB":  m.metric(c, "process_resident_memory_bytes") / (1 << 20),
		"files in store": float64(len(files)),
	}
}

// becomesIdle fails the test unless the process, without requests, soon has as few goroutines as when it was new.
func (m *machine) becomesIdle(t *testing.T, idle map[string]float64) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		now := m.sample(t)["goroutines"]
		if now <= idle["goroutines"]+5 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("without requests there are %.0f goroutines, of a new server %.0f", now, idle["goroutines"])
			return
		}
	}
}

// latencies collects how long calls took, and probes.
type latencies struct {
	mu            sync.Mutex
	calls, probes []time.Duration
}

func (l *latencies) add(list *[]time.Duration, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*list = append(*list, d)
}

// inProbes returns the median of the calls since it was last asked for, divided by that of the probes; 0 if there were none.
func (l *latencies) inProbes() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.calls) == 0 || len(l.probes) == 0 {
		return 0
	}
	slices.Sort(l.calls)
	slices.Sort(l.probes)
	ratio := float64(l.calls[len(l.calls)/2]) / float64(max(1, l.probes[len(l.probes)/2]))
	l.calls, l.probes = l.calls[:0], l.probes[:0]
	return ratio
}

// mixed makes requests of all kinds, at a steady rate, some over a new connection.
func (m *machine) mixed(stop <-chan struct{}, rng *rand.Rand, calls *atomic.Int64, latency *latencies) {
	c := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
	defer c.CloseIdleConnections()
	app := bearer(m.Apps[0].BearerToken)
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(rng.IntN(20)) * time.Millisecond):
		}
		u, p := m.Users[rng.IntN(len(m.Users))], m.Posts[rng.IntN(len(m.Posts))].ID
		r := like(u.ID, p, bearer(u.AccessToken), rng.IntN(2) == 0)
		want := 200
		switch n := rng.IntN(20); n {
		case 0:
			r = get("/2/users/"+u.ID+"/liked_tweets", app)
		case 1:
			r = get("/2/tweets/"+p+"/liking_users?user.fields=public_metrics", app)
		case 2:
			r = get("/2/users/me", m.oauth1(u, "GET", "/2/users/me"))
		case 3:
			r, want = get("/2/nowhere", ""), 404
		case 4:
			r, want = request{"POST", "/2/users/" + u.ID + "/likes", bearer(u.AccessToken), "application/json", "{"}, 400
		case 5:
			r, want = get("/2/users/me", bearer("wrong")), 401
		case 6: // a grant that is given and taken back
			r, want = issueRequest(m, rng.IntN(len(m.Users))), 201
		case 7:
			c.CloseIdleConnections()
		case 8, 9:
			r = get("/livez", "")
		}
		base, times := m.URL, &latency.calls
		if r.path == "/livez" || strings.HasPrefix(r.path, "/admin/") {
			base, times = m.AdminURL, &latency.probes
		}
		start := time.Now()
		a, err := send(c, base, r)
		if err != nil && time.Since(start) > 20*time.Second {
			continue // longer than the server waits: the machine stood still
		}
		if err != nil || a.status != want {
			m.t.Errorf("%s %s: got %d %s %v, want %d", r.method, r.path, a.status, a.body, err, want)
			return
		}
		if want == 200 {
			latency.add(times, time.Since(start))
		}
		calls.Add(1)
		if want == 201 {
			_, token, _ := strings.Cut(string(a.body), `"token":"`)
			token, _, _ = strings.Cut(token, `"`)
			if a, err := send(c, m.URL, m.form("/2/oauth2/revoke", url.Values{"token": {token}})); err != nil || a.status != 200 {
				m.t.Errorf("revoke: %d %s %v", a.status, a.body, err)
				return
			}
		}
	}
}
