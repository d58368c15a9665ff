package journal

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"liked"
	"liked/internal/clock"
	"liked/internal/exchange"
)

// Row is an exchange in a list. Users and apps are ids, "" if none was identified.
type Row struct {
	TransactionID string    `json:"transaction_id"`
	At            time.Time `json:"at"`
	Method        string    `json:"method"`
	Path          string    `json:"path"`
	Query         string    `json:"query"` // without the question mark
	Operation     string    `json:"operation"`
	User          string    `json:"user"`
	App           string    `json:"app"`
	Credential    string    `json:"credential"` // "user" (OAuth 2.0), "app" (app-only), "oauth1", or ""
	Status        int       `json:"status"`     // 0: there was no answer
	Why           string    `json:"why"`
	DurationMS    float64   `json:"duration_ms"`
	Open          bool      `json:"open,omitempty"` // a stream that goes on
	Delivery      *Delivery `json:"delivery,omitempty"`
}

// Delivery is the like that a request told a webhook: all attempts at it have the same, and other requests have none.
type Delivery struct {
	Webhook      string `json:"webhook"`
	Subscription string `json:"subscription"`
	Event        string `json:"event"` // its position in the like log
}

// Detail is an exchange with all that is kept of it.
type Detail struct {
	Row
	Request   Message             `json:"request"`
	Response  Message             `json:"response"`
	Limits    *Limits             `json:"limits,omitempty"`
	Signature *exchange.Signature `json:"signature,omitempty"`
	SpentBy   *Spent              `json:"spent_by,omitempty"` // the code or token that was refused
}

// Message is one side of an exchange. Secrets are cut to four characters.
type Message struct {
	Headers map[string]string `json:"headers"` // several of one name are separated by ", "
	Body    string            `json:"body"`
	Bytes   int64             `json:"bytes"`             // of the body, as far as it was read
	Cut     bool              `json:"cut,omitempty"`     // Body is only its beginning
	Omitted string            `json:"omitted,omitempty"` // why Body is empty
}

// Limits are the caller's rate windows around the request.
type Limits struct {
	Before []Window `json:"before"`
	After  []Window `json:"after"`
}

// Window is a rate window.
type Window struct {
	Of        string    `json:"of"`     // "user" or "app"
	Window    string    `json:"window"` // its length
	Limit     int       `json:"limit"`
	Remaining int       `json:"remaining"`
	Reset     time.Time `json:"reset"`
}

// Spent is the request that a code or token served before.
type Spent struct {
	TransactionID string    `json:"transaction_id"`
	At            time.Time `json:"at"`
}

var credentials = map[liked.Credential]string{liked.OAuth2User: "user", liked.AppOnly: "app", liked.OAuth1User: "oauth1"}

// Row returns the exchange as it is listed.
func (w *row) Row() Row {
	t := w.shown()
	out := Row{TransactionID: w.transaction, At: w.at.UTC(), Method: w.method, Path: t.path, Query: t.query, Operation: w.operation,
		Credential: credentials[w.credential], Status: w.status, Why: t.why, Open: w.open,
		DurationMS: float64(w.took.Microseconds()) / 1000}
	if w.user != 0 {
		out.User = w.user.String()
	}
	if w.app != 0 {
		out.App = w.app.String()
	}
	if d := w.delivery; d != (exchange.Delivery{}) {
		out.Delivery = &Delivery{d.Webhook.String(), d.Subscription.String(), strconv.FormatUint(uint64(d.Event), 10)}
	}
	return out
}

// Detail returns all of it.
func (w *row) Detail() Detail {
	d := Detail{Row: w.Row(), Signature: w.signature, SpentBy: w.before, Request: w.message(0), Response: w.message(1)}
	if w.limits != nil {
		d.Limits = new(Limits)
		for _, s := range w.limits {
			after := Window{"user", clock.Duration(s.Window).String(), s.Max, s.Remaining, s.Reset.UTC()}
			if s.App {
				after.Of = "app"
			}
			before := after
			if w.counted {
				before.Remaining++
			}
			d.Limits.Before, d.Limits.After = append(d.Limits.Before, before), append(d.Limits.After, after)
		}
	}
	return d
}

func (w *row) message(i int) Message {
	s := &w.shown().sides[i]
	m := Message{Headers: make(map[string]string), Body: string(s.body), Bytes: w.sizes[i], Cut: s.cut, Omitted: s.omitted}
	for name, values := range header(s.head) {
		m.Headers[name] = strings.Join(values, ", ")
	}
	return m
}

func header(head []byte) http.Header {
	h := make(http.Header)
	for line := range strings.Lines(string(head)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		h[name] = append(h[name], value)
	}
	return h
}

// traits are what a Match looks at.
func (w *row) traits() exchange.Traits {
	t := w.shown()
	return exchange.Traits{Operation: w.operation, Method: w.method, Path: t.path, App: w.app, User: w.user, Status: w.status,
		Header: header(t.sides[0].head), Body: t.sides[0].body}
}

// ParseStatus reads a status to filter by, as 429 or 4xx.
func ParseStatus(text string) (int, error) {
	least, most := 100, 599
	if digit, ok := strings.CutSuffix(strings.ToLower(text), "xx"); ok {
		text, least, most = digit, 1, 5
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("it is no status, as 429, and no class of them, as 4xx")
	}
	return n, nil
}
