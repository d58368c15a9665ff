// Package limit counts requests in fixed windows. A window opens at the first request it counts, in whole seconds, and
// ends a fixed time later. Engines of the store keep [Windows] under a caller's key and count with [Take].
package limit

import (
	"cmp"
	"slices"
	"time"

	"liked"
	"liked/internal/store"
)

// Windows are all windows under one key: one operation by a user of an app, or by an app as a whole. Their lengths
// differ; unused ones are zero.
type Windows [liked.MaxRateRules]Window

// Window counts requests from its opening until its length has passed.
type Window struct {
	Length, Opened int64 // seconds, Unix seconds
	Count          int
}

func lengthOf(r liked.RateRule) int64 { return int64(r.Window / time.Second) }

// Take counts one request against every rule, in the window of the app or of the user, and appends the rules' states to
// states. If a window is used up, no window counts the request and ok is false.
func Take(now time.Time, user, app *Windows, rules []liked.RateRule, states []liked.RateState) (_ []liked.RateState, ok bool) {
	unix, ok := now.Unix(), true
	var windows [liked.MaxRateRules]*Window
	for i, r := range rules {
		windows[i] = of(r, user, app).open(r, rules, unix)
		ok = ok && windows[i].Count < r.Max
	}
	for i, r := range rules {
		w := windows[i]
		if ok {
			w.Count++
		}
		states = append(states, w.state(r))
	}
	return states, ok
}

func (w *Window) state(r liked.RateRule) liked.RateState {
	return liked.RateState{RateRule: r, Remaining: max(r.Max-w.Count, 0), Reset: time.Unix(w.Opened, 0).Add(r.Window)}
}

// Left appends the states that Take would find, and changes nothing. user and app may be nil.
func Left(now time.Time, user, app *Windows, rules []liked.RateRule, states []liked.RateState) []liked.RateState {
	for _, r := range rules {
		var windows Windows
		if kept := of(r, user, app); kept != nil {
			windows = *kept
		}
		states = append(states, windows.open(r, rules, now.Unix()).state(r))
	}
	return states
}

// GiveBack undoes a Take that counted, except in windows that have ended since. user and app may be nil.
func GiveBack(now time.Time, user, app *Windows, rules []liked.RateRule) {
	for _, r := range rules {
		windows := of(r, user, app)
		if windows == nil {
			continue
		}
		if w := windows.find(lengthOf(r)); w != nil && w.Count > 0 && w.Opened <= now.Unix() {
			w.Count--
		}
	}
}

// Open appends the windows that have not ended at now, with what is under their key.
func (ws *Windows) Open(now time.Time, key store.Window, all []store.Window) []store.Window {
	for _, w := range ws {
		if w.Count > 0 && now.Unix() < w.Opened+w.Length {
			key.Length, key.Count = time.Duration(w.Length)*time.Second, w.Count
			key.Reset = time.Unix(w.Opened+w.Length, 0).UTC()
			all = append(all, key)
		}
	}
	return all
}

// Sort puts windows in order of operation, app, user and length.
func Sort(all []store.Window) {
	slices.SortFunc(all, func(a, b store.Window) int {
		return cmp.Or(cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.App, b.App), cmp.Compare(a.User, b.User),
			cmp.Compare(a.Length, b.Length))
	})
}

func of(r liked.RateRule, user, app *Windows) *Windows {
	if r.App {
		return app
	}
	return user
}

// Ended reports whether all windows have ended at now, in Unix seconds.
func (ws *Windows) Ended(now int64) bool {
	return !slices.ContainsFunc(ws[:], func(w Window) bool { return now < w.Opened+w.Length })
}

func (ws *Windows) find(length int64) *Window {
	for i := range ws {
		if ws[i].Length == length {
			return &ws[i]
		}
	}
	return nil
}

// open returns the rule's window that is open at now. If there is none, it opens one in place of an unused window, or
// of one that none of the rules has: the rules have changed.
func (ws *Windows) open(r liked.RateRule, rules []liked.RateRule, now int64) *Window {
	w := ws.find(lengthOf(r))
	switch {
	case w == nil:
		if w = ws.find(0); w == nil {
			w = &ws[slices.IndexFunc(ws[:], func(w Window) bool {
				return !slices.ContainsFunc(rules, func(r liked.RateRule) bool { return lengthOf(r) == w.Length })
			})]
		}
		fallthrough
	case now >= w.Opened+w.Length:
		*w = Window{Length: lengthOf(r), Opened: now}
	case now < w.Opened:
		// The clock went back. The count stands, but the window must not end later than one that opens now.
		w.Opened = now
	}
	return w
}
