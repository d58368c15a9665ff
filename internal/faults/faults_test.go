package faults

import (
	"testing"
	"time"

	"liked/internal/exchange"
)

// A rule counts a stream once, however often the rules change while it is open, and each one that is added is asked.
func TestStreamsCountOnce(t *testing.T) {
	t.Parallel()
	rules := New(Options{Now: time.Now, Disconnects: map[string]string{"ForceDisconnect": "operator_disconnect"}})
	add := func(every int, match exchange.Match, do Do) {
		t.Helper()
		if _, err := rules.Add(Rule{match, When{Every: every}, do}, exchange.Names{}); err != nil {
			t.Fatal(err)
		}
	}
	end := Do{Disconnect: "ForceDisconnect"}
	add(3, exchange.Match{}, end)
	var seen [3]int
	for i := range seen {
		for range 3 {
			ended, changed := rules.Stream(exchange.Traits{}, &seen[i])
			if (ended != nil) != (i == 2) {
				t.Fatalf("stream %d: got %v of a rule that ends each third", i+1, ended)
			}
			if ended != nil {
				break
			}
			add(0, exchange.Match{Path: "/other"}, Do{Status: 500})
			<-changed
		}
	}
	if s := rules.All()[0]; s.Matched != 3 || s.Done != 1 {
		t.Errorf("of 3 streams %d matched, and %d ended", s.Matched, s.Done)
	}
	before := rules.All()
	rules.Clear()
	rules.Replace(before)
	add(0, exchange.Match{}, end)
	if ended, _ := rules.Stream(exchange.Traits{}, &seen[0]); ended == nil {
		t.Error("a stream that is open outlives a new rule")
	}
}
