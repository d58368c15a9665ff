package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"liked"
)

const (
	quarter = 15 * time.Minute
	day     = 24 * time.Hour
)

// Limits changes the rate limits of routes. The zero value keeps X's.
type Limits struct {
	off       bool
	noDaily   bool
	overrides map[string]override
}

// override replaces limits of one operation, in requests. Zero removes a limit, nil keeps it.
type override struct {
	User15m *int `json:"user_15m"`
	User24h *int `json:"user_24h"`
	App15m  *int `json:"app_15m"`
	App24h  *int `json:"app_24h"`
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
	var l Limits
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&l.overrides); err != nil {
		return Limits{}, &liked.Error{Kind: liked.Invalid, Msg: "rate limits", Err: err}
	}
	if _, err := d.Token(); err != io.EOF {
		return Limits{}, liked.Errorf(liked.Invalid, "rate limits: something follows the JSON object")
	}
	var errs []error
	for id, o := range l.overrides {
		if !slices.Contains(Operations(), id) {
			errs = append(errs, liked.Errorf(liked.Invalid, "rate limits: %q is not an operation; there are %s",
				id, strings.Join(Operations(), ", ")))
		}
		for _, n := range []*int{o.User15m, o.User24h, o.App15m, o.App24h} {
			if n != nil && *n < 0 {
				errs = append(errs, liked.Errorf(liked.Invalid, "rate limits: %s: %d is negative; 0 means no limit", id, *n))
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
	set := func(app bool, window time.Duration, n *int) {
		if n == nil {
			return
		}
		rules = slices.DeleteFunc(rules, func(r liked.RateRule) bool { return r.App == app && r.Window == window })
		if *n > 0 {
			rules = append(rules, liked.RateRule{App: app, Window: window, Max: *n})
		}
	}
	o := l.overrides[operation]
	set(false, quarter, o.User15m)
	set(false, day, o.User24h)
	set(true, quarter, o.App15m)
	set(true, day, o.App24h)
	if l.noDaily {
		rules = slices.DeleteFunc(rules, func(r liked.RateRule) bool { return r.Window == day })
	}
	return rules
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
