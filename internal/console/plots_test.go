package console

import (
	"testing"
	"time"

	"liked/internal/journal"
)

// What is counted is drawn: bars by status, and a curve whose last interval goes on and is not drawn.
func TestDraw(t *testing.T) {
	p := draw(journal.Counts{Since: time.Now(), Statuses: map[string]int{"429": 1, "200": 4, "0": 1000}, Seconds: 2, Likes: []int{0, 3, 4, 9}})
	if p.Curve != "M0 100V100.0h1V25.0h1V0.0h1V100Z" || p.Width != 3 || p.Likes != 16 || p.Most != "2" || p.Now != "2" {
		t.Errorf("got %+v", p)
	}
	want := []bar{{0, 0, 1000, "100.0"}, {200, 2, 4, "0.5"}, {429, 4, 1, "0.5"}}
	if len(p.Statuses) != len(want) || p.Calls != 1005 {
		t.Fatalf("got %+v", p)
	}
	for i, b := range p.Statuses {
		if b != want[i] {
			t.Errorf("got %+v, want %+v", b, want[i])
		}
	}
	if p := draw(journal.Counts{Seconds: 1, Likes: []int{0}}); p.Curve != "M0 100V100.0h1V100Z" || p.Most != "0" || len(p.Statuses) > 0 {
		t.Errorf("got %+v of nothing", p)
	}
}

func TestLasts(t *testing.T) {
	for d, want := range map[time.Duration]string{-time.Second: "0 s", 59 * time.Second: "59 s",
		61 * time.Second: "2 min", 15 * time.Minute: "15 min",
		24 * time.Hour: "24 h", 90*time.Minute + time.Second: "1 h 30 min"} {
		if got := lasts(d); got != want {
			t.Errorf("%v lasts %q, want %q", d, got, want)
		}
	}
}
