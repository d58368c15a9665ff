package torture

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKill kills the server under load, again and again, and holds what the next one says to what was acknowledged. A
// call that was not answered may have happened or not, but nothing in between.
func TestKill(t *testing.T) {
	t.Parallel()
	rng := dice(t)
	m := boot(t, "--users", "40", "--posts", "20", "--rate-limits", killLimits(t))
	l := newLoad(m, rng)
	var done, early int
	outcome(t, "what was acknowledged survives kill -9", func() string {
		return fmt.Sprintf("%d kills under load and %d while starting, %d changes acknowledged, %d unanswered; "+
			"%d likes and unlikes in the streams, over %d connections",
			done, early, l.acknowledged.Load(), l.unanswered.Load(), l.readers.events(), l.readers.connections)
	})
	for done < *kills && !t.Failed() {
		l.run(rng, time.Duration(rng.IntN(300_000))*time.Microsecond, l.kill)
		done++
		if rng.IntN(2) == 0 {
			m.check()
		}
		for rng.IntN(4) == 0 { // recovery can be cut short, too
			m.launch()
			time.Sleep(time.Duration(rng.IntN(60_000)) * time.Microsecond)
			m.kill()
			early++
		}
		m.start()
		l.verify()
		if done == *kills || rng.IntN(2) == 0 { // else readers come back while others like
			l.readers.verify(rng)
		}
		m.check()
	}
	if l.acknowledged.Load() == 0 || l.unanswered.Load() == 0 {
		t.Errorf("%d acknowledged and %d unanswered calls test nothing", l.acknowledged.Load(), l.unanswered.Load())
	}
}

// killLimits writes limits that count likes, and that no client reaches.
func killLimits(t *testing.T) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "limits.json")
	const text = `{
		"usersIdLike": {"user_15m": 1000000, "user_24h": 1000000}, "usersIdUnlike": {"user_15m": 1000000, "user_24h": 1000000},
		"usersIdLikedTweets": {"user_15m": 0}, "findMyUser": {"user_15m": 0}, "findTweetsById": {"app_15m": 0},
		"streamLikesFirehose": {"app_15m": 0}, "streamLikesCompliance": {"app_15m": 0},
		"createTweet": {"user_15m": 0, "app_24h": 0}, "deleteTweetById": {"user_15m": 0}}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestKillNotices proves that TestKill can fail: a machine that goes back to what its disk held a moment ago has lost
// something of every kind, and every kind of client must say so.
func TestKillNotices(t *testing.T) {
	t.Parallel()
	rng := dice(t)
	m := boot(t, "--users", "40", "--posts", "20", "--rate-limits", killLimits(t))
	l := newLoad(m, rng)
	l.run(rng, 300*time.Millisecond, l.kill)
	m.start()
	l.verify()
	l.readers.verify(rng)
	for _, c := range l.likers { // so that there are windows to lose
		c.step(rng)
	}
	for _, c := range l.granters { // and grants, to be revoked next
		for len(c.live) < 4 && c.step(rng) {
		}
	}
	l.readers.verify(rng)
	m.kill()
	l.readers.wait()
	before := filepath.Join(t.TempDir(), "before")
	if err := os.CopyFS(before, os.DirFS(m.dir)); err != nil {
		t.Fatal(err)
	}
	m.start()
	for _, step := range l.steps() {
		for range 8 {
			step(rng)
		}
	}
	l.readers.verify(rng)
	m.kill()
	l.readers.wait()
	if err := os.RemoveAll(m.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(m.dir, os.DirFS(before)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(m.dir, "seal.key"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.start()
	l.c.CloseIdleConnections()
	for _, loss := range []struct {
		say  string
		look func()
	}{
		{"acknowledged was", func() { // true or false: chance may have lost only likes that were taken back, or of one nothing in the end
			for _, c := range l.likers[4:] {
				c.verify()
			}
		}},
		{"a signed call that was answered before", l.likers[0].verify},
		{"X-Rate-Limit-: ", func() { l.likers[2].step(rng); l.likers[2].step(rng) }},
		{"the access token that was last given", l.refreshers[0].verify},
		{"the refresh token that was last given", l.refreshers[1].verify},
		{"a token that was issued", l.granters[0].verify},
		{"a token that was revoked", l.granters[1].verify},
		{"there is false", func() {
			for _, c := range l.publishers {
				c.verify()
			}
		}},
		{"the streams: ", func() {
			c := l.likers[3]
			c.verify()
			for range 8 {
				c.step(rng)
			}
			l.readers.verify(rng)
		}},
	} {
		w := &witness{TB: t}
		m.t = w
		loss.look()
		m.t = t
		if !strings.Contains(strings.Join(w.said, "\n"), loss.say) {
			t.Errorf("a loss is not noticed: want %q, got %q", loss.say, w.said)
		}
	}
}

// witness records what would fail a test.
type witness struct {
	testing.TB
	said []string
}

func (w *witness) Errorf(format string, args ...any) {
	w.said = append(w.said, fmt.Sprintf(format, args...))
}
