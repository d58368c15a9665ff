package faults

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"liked"
	"liked/internal/clock"
	"liked/internal/exchange"
	"liked/internal/strictjson"
)

// Rule says what to do to which exchanges.
type Rule struct {
	Match exchange.Match `json:"match"`
	When  When           `json:"when,omitzero"`
	Do    Do             `json:"do"`
}

// When says to which of the exchanges that match, if not to each; all that is set must hold.
type When struct {
	Times int `json:"times,omitempty"` // at most so many
	Every int `json:"every,omitempty"` // each one of that number: the third, the sixth and so on
}

// UnmarshalJSON refuses a number that would be as if it had not been given.
func (w *When) UnmarshalJSON(text []byte) error {
	var given struct {
		Times *int `json:"times"`
		Every *int `json:"every"`
	}
	if err := strictjson.Unmarshal(text, &given); err != nil {
		return err
	}
	for _, n := range []*int{given.Times, given.Every} {
		if n != nil && *n < 1 {
			return strictjson.Mistake("times and every are 1 or more")
		}
	}
	type plain When
	return strictjson.Unmarshal(text, (*plain)(w))
}

// Do is one of its members, but that Headers go with an answer, and Delay with any other or alone.
type Do struct {
	// Problem is a refusal of X by its name, in the form of the endpoint that is called.
	Problem string `json:"problem,omitempty"`

	Status int             `json:"status,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"` // with Status: JSON, or the text in a string; none: X's own

	// ResetIn makes the rate limits of the endpoint used up for this time, from when the rule is added: 429, with the end in
	// x-rate-limit-reset.
	ResetIn clock.Duration `json:"reset_in,omitempty"`

	// Close ends the connection without an answer: "before" the call is carried out, or "after".
	Close string `json:"close,omitempty"`

	// Disconnect ends streams, open and new ones, with a message of X of this type. A delay is from their beginning, or from
	// when the rule is added.
	Disconnect string `json:"disconnect,omitempty"`

	Headers map[string]string `json:"headers,omitempty"` // added to the answer, or in place of its own
	Delay   *Delay            `json:"delay,omitempty"`   // of real time, before anything else is done
}

// Values of Close.
const (
	closeBefore = "before"
	closeAfter  = "after"
)

// Delay is a time, or one between two at random. In JSON it is "2s" or {"min":"1s","max":"2s"}.
type Delay struct{ Min, Max clock.Duration }

type span struct {
	Min clock.Duration `json:"min"`
	Max clock.Duration `json:"max"`
}

func (d Delay) MarshalJSON() ([]byte, error) {
	if d.Min == d.Max {
		return json.Marshal(d.Min)
	}
	return json.Marshal(span(d))
}

func (d *Delay) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte{'{'}) {
		return strictjson.Unmarshal(text, (*span)(d))
	}
	err := strictjson.Unmarshal(text, &d.Min)
	d.Max = d.Min
	return err
}

// maxDelay leaves an answer 5 s to be written: the server closes a connection 35 s after the beginning of a request, or up to 5 s
// earlier, as it does not set the deadline anew for each request of a busy connection (internal/fastpath).
const maxDelay = clock.Duration(25 * time.Second)

// check returns Invalid with what is wrong.
func (o *Options) check(rule *Rule) error {
	wrong := func(format string, args ...any) error { return liked.Errorf(liked.Invalid, format, args...) }
	do := &rule.Do
	var does []string
	for member, set := range map[string]bool{"problem": do.Problem != "", "status": do.Status != 0, "reset_in": do.ResetIn != 0,
		"close": do.Close != "", "disconnect": do.Disconnect != ""} {
		if set {
			does = append(does, member)
		}
	}
	slices.Sort(does)
	streams := slices.Sorted(maps.Keys(o.Streams))
	switch m := &rule.Match; {
	case len(m.Body) > 0:
		return wrong("match: a body is matched by /admin/verify alone")
	case m.Operation != "" && o.CheckOperation(m.Operation) != nil:
		return o.CheckOperation(m.Operation)
	case len(does) > 1:
		return wrong("do: %s exclude each other", strings.Join(does, " and "))
	case len(does) == 0 && do.Delay == nil:
		return wrong("do: it says nothing; there are problem, status, reset_in, close, disconnect and delay")
	case do.Problem != "" && o.Problems[do.Problem] == 0:
		return wrong("do: %q is no problem; there are %s", do.Problem, strings.Join(o.ProblemNames(), ", "))
	case do.Status != 0 && (do.Status < 200 || do.Status > 599):
		return wrong("do: %d is no status of an answer; one is from 200 to 599", do.Status)
	case len(do.Body) > 0 && do.Status == 0:
		return wrong("do: a body goes with a status")
	case len(do.Body) > 0 && (do.Status == http.StatusNoContent || do.Status == http.StatusNotModified):
		return wrong("do: %d has no body", do.Status)
	case len(do.Body) == 0 && do.Status != 0 && do.Status < 400 && do.Status != http.StatusNoContent && do.Status != http.StatusNotModified:
		return wrong("do: X has no answer of its own for %d; give a body", do.Status)
	case len(do.Headers) > 0 && do.Problem == "" && do.Status == 0 && do.ResetIn == 0:
		return wrong("do: headers go with problem, status or reset_in")
	case do.Close != "" && do.Close != closeBefore && do.Close != closeAfter:
		return wrong(`do: close is "before" or "after"`)
	case do.Close == closeBefore && m.Status != 0:
		return wrong(`do: with match.status the call has been made, so that close is "after"`)
	case do.Disconnect != "" && o.Disconnects[do.Disconnect] == "":
		return wrong("do: %q is no type of disconnect; there are %s", do.Disconnect, strings.Join(o.DisconnectNames(), ", "))
	case do.Disconnect != "" && (m.Status != 0 || m.Operation != "" && !o.Streams[m.Operation]):
		return wrong("do: only streams are disconnected, without match.status; there are %s", strings.Join(streams, ", "))
	case do.Delay != nil && (do.Delay.Min > do.Delay.Max || do.Delay.Max > maxDelay || do.Delay.Min < 0 || do.Delay.Max == 0):
		return wrong("do: a delay is from min to max, above 0s and at most %v", maxDelay)
	case do.ResetIn < 0:
		return wrong("do: reset_in is above 0s")
	}
	set := make(map[string]bool)
	for name, value := range do.Headers {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		bad := strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' })
		switch {
		case bad || !httpguts.ValidHeaderFieldName(name) || slices.Contains(framing, canonical):
			return wrong("do: %q: %q cannot be set: a header has printable ASCII, and is none of %s", name, value, strings.Join(framing, ", "))
		case set[canonical]:
			return wrong("do: the header %s stands twice", canonical)
		}
		set[canonical] = true
	}
	return nil
}

// framing are headers that say where a message ends.
var framing = []string{"Connection", "Content-Length", "Trailer", "Transfer-Encoding", "Upgrade"}

// text returns the body to send and its media type; without a body, nil.
func (d *Do) text() (body []byte, mediaType string) {
	if len(d.Body) == 0 {
		return nil, ""
	}
	var s string
	if json.Unmarshal(d.Body, &s) != nil {
		return d.Body, "application/json; charset=utf-8"
	}
	if s == "" { // an answer without a body, not X's own
		return []byte{}, ""
	}
	return []byte(s), http.DetectContentType([]byte(s))
}
