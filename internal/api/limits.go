package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"liked"
	"liked/internal/strictjson"
)

const (
	quarter = 15 * time.Minute
	day     = 24 * time.Hour
)

// Limits changes the rate limits of routes. The zero value keeps X's.
type Limits struct {
	off       bool
	noDaily   bool
	overrides map[string]map[string]int // of operations: the requests of each window that changes
}

// windows are those of overrides.
var windows = map[string]liked.RateRule{
	"user_15m": {Window: quarter},
	"user_24h": {Window: day},
	"app_15m":  {Window: quarter, App: true},
	"app_24h":  {Window: day, App: true},
}

// NoLimits removes every limit.
func NoLimits() Limits { return Limits{off: true} }

// WithoutDaily returns l without limits per 24 hours, also those of overrides.
func (l Limits) WithoutDaily() Limits {
	l.noDaily = true
	return l
}

// ParseLimits reads overrides as a JSON object from operationId to limits:
//
//	{"usersIdLike": {"user_15m": 5, "user_24h": 0}}
//
// The keys are user_15m, user_24h, app_15m and app_24h; 0 means no such limit. All mistakes are reported together.
func ParseLimits(text []byte) (Limits, error) {
	var all map[string]map[string]*int // nil: a null, which is neither a limit nor none
	if err := strictjson.Unmarshal(text, &all); err != nil {
		return Limits{}, &liked.Error{Kind: liked.Invalid, Msg: "rate limits", Err: err}
	}
	l := Limits{overrides: make(map[string]map[string]int)}
	var errs []error
	wrong := func(format string, args ...any) {
		errs = append(errs, liked.Errorf(liked.Invalid, "rate limits: "+format, args...))
	}
	if all == nil {
		wrong("the value cannot be null")
	}
	for id, limits := range all {
		l.overrides[id] = make(map[string]int)
		if limits == nil {
			wrong("%s: null is no limits; {} changes none", id)
		}
		if !slices.Contains(Operations(), id) {
			wrong("%q is not an operation; there are %s", id, strings.Join(Operations(), ", "))
		}
		for window, n := range limits {
			if _, known := windows[window]; !known {
				wrong("%s: %q is not one of %v", id, window, slices.Sorted(maps.Keys(windows)))
			}
			switch {
			case n == nil:
				wrong("%s: %s: null is no number; 0 means no limit", id, window)
			case *n < 0:
				wrong("%s: %d is negative; 0 means no limit", id, *n)
			default:
				l.overrides[id][window] = *n
			}
		}
	}
	return l, errors.Join(errs...)
}

func (l Limits) apply(operation string, rules []liked.RateRule) []liked.RateRule {
	if l.off {
		return nil
	}
	rules = slices.Clone(rules)
	for window, max := range l.overrides[operation] {
		changed := windows[window]
		rules = slices.DeleteFunc(rules, func(r liked.RateRule) bool { return r.App == changed.App && r.Window == changed.Window })
		if changed.Max = max; max > 0 {
			rules = append(rules, changed)
		}
	}
	if l.noDaily {
		rules = slices.DeleteFunc(rules, func(r liked.RateRule) bool { return r.Window == day })
	}
	return rules
}

// rules are those that count the caller's requests.
func (rt *endpoint) rules(who liked.Principal) []liked.RateRule {
	if who.Credential == liked.AppOnly {
		return rt.appRules
	}
	return rt.userRules
}

// usedUp says whose window is used up, and when that ends; of several, the one that ends last. Names are looked up only where
// a developer reads them.
func (a *API) usedUp(ctx context.Context, rt *endpoint, who liked.Principal, x *requestState) string {
	var used liked.RateState
	for _, s := range x.limits {
		if s.Remaining == 0 && s.Reset.After(used.Reset) {
			used = s
		}
	}
	whose := "user " + who.User.String()
	if used.App {
		whose = "app " + who.App.String()
	}
	if a.Explain {
		if app, err := a.Store.App(ctx, who.App); used.App && err == nil {
			whose = "app " + app.Name
		} else if u, err := a.Store.User(ctx, who.User); !used.App && err == nil {
			whose = "@" + u.Username
		}
	}
	what := "requests of " + rt.id
	if rt.id == "usersIdLike" || rt.id == "favoritesCreate" {
		what = "likes"
	}
	window := "15 minutes"
	if used.Window == day {
		window = "24 hours"
	}
	until := used.Reset.Add(time.Minute - 1).Truncate(time.Minute).UTC()
	at := until.Format("15:04 UTC")
	if now := a.Now().UTC(); until.YearDay() != now.YearDay() || until.Year() != now.Year() {
		at += until.Format(" on 2 January")
	}
	return fmt.Sprintf("%s has used %d of %d %s in %s; they come back at %s. `--rate-limits off` lifts them",
		whose, used.Max, used.Max, what, window, at)
}

// applicable picks the rules for a caller's requests. App windows of 15 minutes are for app-only callers, since users
// have their own; those of 24 hours count all requests of the app.
func applicable(rules []liked.RateRule, appOnly bool) []liked.RateRule {
	return slices.DeleteFunc(slices.Clone(rules), func(r liked.RateRule) bool {
		if appOnly {
			return !r.App
		}
		return r.App && r.Window != day
	})
}
