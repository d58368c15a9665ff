package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"liked/internal/admin"
	"liked/internal/exchange"
	"liked/internal/journal"
	"liked/internal/strictjson"
)

type requestsCmd struct {
	ID        string `arg:"" optional:"" help:"Transaction id of one request, to see all of it."`
	Operation string `placeholder:"NAME" help:"Only of this operation, as usersIdLike."`
	User      string `placeholder:"USER" help:"Only of this user."`
	App       string `placeholder:"APP" help:"Only of this app."`
	Status    string `placeholder:"STATUS" help:"Only with this status, as 429 or 4xx."`
	Text      string `placeholder:"TEXT" help:"Only with this text, anywhere."`
	Calls     bool   `help:"No pages and files that a browser was shown."`
	Limit     int    `default:"100" placeholder:"N" help:"How many at most, the newest."`
	Follow    bool   `help:"Show requests as they come, until interrupted."`
	Clear     bool   `help:"Forget all requests."`
	Answer
}

func (c *requestsCmd) check() error {
	err := c.Operator.check()
	if n := count(c.ID != "", c.Follow, c.Clear); n > 1 || n == 1 && !c.Follow && len(c.query()) > 0 {
		err = errors.Join(err, errors.New("requests: give either a transaction id, or --follow or --clear; filters are for lists and --follow"))
	}
	if c.Limit < 1 {
		err = errors.Join(err, fmt.Errorf("limit: %d is too few", c.Limit))
	}
	return err
}

func count(given ...bool) (n int) {
	for _, yes := range given {
		if yes {
			n++
		}
	}
	return n
}

func (c *requestsCmd) query() url.Values {
	query := make(url.Values)
	for name, value := range map[string]string{"operation": c.Operation, "user": c.User, "app": c.App, "status": c.Status, "text": c.Text,
		"calls": map[bool]string{true: "true"}[c.Calls]} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query
}

func (c *requestsCmd) Run(e *env) error {
	return c.with(e, false, func(a *admin.Client) error {
		lines := &requestLines{e: e, client: a, names: make(map[string]string), colours: isTerminal(e.stdout), json: c.JSON}
		switch {
		case c.Clear:
			return a.ClearRequests(e.ctx)
		case c.Follow:
			err := a.FollowRequests(e.ctx, c.query(), func() { fmt.Fprintln(e.stderr, "liked: waiting for requests") }, lines.print,
				func(n uint64) { fmt.Fprintf(e.stderr, "liked: %d requests were too many to show\n", n) }, func() {})
			if e.ctx.Err() != nil { // interrupted
				return nil
			}
			return err
		case c.ID != "":
			d, err := a.Request(e.ctx, c.ID)
			if err != nil {
				return err
			}
			return c.print(e, d, func(w io.Writer) { writeDetail(w, d) })
		}
		query := c.query()
		for left := c.Limit; left > 0; {
			query.Set("limit", strconv.Itoa(min(left, 1000)))
			page, err := a.Requests(e.ctx, query)
			if err != nil {
				return err
			}
			for _, r := range page.Data {
				if err := lines.print(r); err != nil {
					return err
				}
			}
			if left -= len(page.Data); page.Next == "" {
				return nil
			}
			query.Set("after", page.Next)
		}
		return nil
	})
}

// requestLines writes a request in a line, and under it why it was refused.
type requestLines struct {
	e       *env
	client  *admin.Client
	names   map[string]string // of users
	colours bool
	json    bool
}

const (
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func (l *requestLines) paint(colour, text string) string {
	if !l.colours {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func (l *requestLines) print(r journal.Row) error {
	if l.json {
		return json.NewEncoder(l.e.stdout).Encode(r)
	}
	colour := green
	switch {
	case r.Status >= 500 || r.Status == 0:
		colour = red
	case r.Status >= 400:
		colour = yellow
	}
	target := r.Path
	if r.Query != "" {
		target += "?" + r.Query
	}
	line := fmt.Sprintf("%s %s %-6s %s", l.paint(dim, r.At.Local().Format("15:04:05.000")), l.paint(colour, fmt.Sprintf("%3d", r.Status)),
		r.Method, printable(target))
	if who := l.who(r); who != "" {
		line += " " + l.paint(cyan, who)
	}
	took := fmt.Sprintf("%.1fms", r.DurationMS)
	if r.Open {
		took = "open"
	}
	line += " " + l.paint(dim, took+" "+r.TransactionID)
	if r.Why != "" {
		line += "\n    " + l.paint(colour, printable(r.Why))
	}
	_, err := fmt.Fprintln(l.e.stdout, line)
	return err
}

// printable is text in one line that a terminal takes for text.
func printable(text string) string { return strings.Map(shown, text) }

// printableLines is the same with the lines and tabs of the text.
func printableLines(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return shown(r)
	}, text)
}

func shown(r rune) rune {
	if r < ' ' || r >= 0x7f && r < 0xa0 {
		return '?'
	}
	return r
}

// who is the name of the user, or the number of the app.
func (l *requestLines) who(r journal.Row) string {
	if r.User == "" {
		if r.App == "" {
			return ""
		}
		return "app " + r.App
	}
	if l.names[r.User] == "" {
		var u struct{ Username string }
		if err := l.client.Call(l.e.ctx, "GET", at("users", r.User), nil, &u); err != nil {
			u.Username = r.User // it is gone
		}
		l.names[r.User] = u.Username
	}
	return "@" + l.names[r.User]
}

func writeDetail(w io.Writer, d journal.Detail) {
	fmt.Fprintf(w, "%s  %s  %d in %.1fms\n", d.TransactionID, d.At.Format(time.RFC3339Nano), d.Status, d.DurationMS)
	for _, line := range [][2]string{{"operation", d.Operation}, {"user", d.User}, {"app", d.App}, {"credential", d.Credential},
		{"why", d.Why}} {
		if line[1] != "" {
			fmt.Fprintf(w, "%-11s %s\n", line[0], printable(line[1]))
		}
	}
	if d.Limits != nil {
		for i, after := range d.Limits.After {
			fmt.Fprintf(w, "%-11s %s of %s: %d left of %d, %d before, until %s\n", "window", after.Window, after.Of, after.Remaining, after.Limit,
				d.Limits.Before[i].Remaining, after.Reset.Format(time.RFC3339))
		}
	}
	if s := d.Signature; s != nil {
		fmt.Fprintf(w, "%-11s %s, verified: %t\n%-11s %s\n", "signature", s.Method, s.Verified, "base string", printable(s.BaseString))
		if s.Signed != "" {
			fmt.Fprintf(w, "%-11s %s\n", "signed", printable(s.Signed))
		}
	}
	target := d.Path
	if d.Query != "" {
		target += "?" + d.Query
	}
	fmt.Fprintf(w, "\n%s %s\n", d.Method, printable(target))
	writeMessage(w, d.Request)
	fmt.Fprintf(w, "\n%d\n", d.Status)
	writeMessage(w, d.Response)
}

func writeMessage(w io.Writer, m journal.Message) {
	for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
		fmt.Fprintf(w, "%s: %s\n", printable(name), printable(m.Headers[name]))
	}
	switch {
	case m.Omitted != "":
		fmt.Fprintf(w, "\n(%d bytes are not shown: %s)\n", m.Bytes, m.Omitted)
	case m.Body != "":
		fmt.Fprintf(w, "\n%s\n", printableLines(strings.TrimSuffix(m.Body, "\n")))
	}
	if m.Cut {
		fmt.Fprintf(w, "(the beginning of %d bytes)\n", m.Bytes)
	}
}

type verifyCmd struct {
	Operation string            `placeholder:"NAME" help:"Of this operation, as usersIdLike."`
	Method    string            `placeholder:"METHOD" help:"With this method, as POST."`
	Path      string            `placeholder:"PATH" help:"With this path; * stands for any text."`
	User      string            `placeholder:"USER" help:"Of this user."`
	App       string            `placeholder:"APP" help:"Of this app."`
	Header    map[string]string `placeholder:"NAME=VALUE" mapsep:"none" help:"With this header; may be repeated."`
	Status    int               `placeholder:"STATUS" help:"With this status."`
	Body      string            `placeholder:"JSON" help:"With these members in the body."`
	Exactly   *int              `placeholder:"N" help:"So many requests."`
	AtLeast   *int              `placeholder:"N" help:"So many or more; 1 without any number."`
	AtMost    *int              `placeholder:"N" help:"So many or fewer."`
	File      string            `placeholder:"FILE" help:"All of it as JSON, for what is in order; - is standard input."`
	Within    time.Duration     `placeholder:"TIME" help:"How long to wait."`
	Answer
}

func (c *verifyCmd) check() error {
	err := c.Operator.check()
	alone := verifyCmd{File: c.File, Answer: c.Answer}
	if c.File != "" && !reflect.DeepEqual(*c, alone) {
		err = errors.Join(err, errors.New("file: it says all of what is expected; leave the other flags of that out"))
	}
	return err
}

// maxExpectation is above the longest expectation, in bytes.
const maxExpectation = 256 << 10

func (c *verifyCmd) expectation(e *env) (x journal.Expectation, err error) {
	if c.File != "" {
		text, err := e.read(c.File, maxExpectation)
		if err == nil {
			err = strictjson.Unmarshal(text, &x)
		}
		if err != nil {
			return x, fmt.Errorf("file: %w", err)
		}
		return x, nil
	}
	x = journal.Expectation{Exactly: c.Exactly, AtLeast: c.AtLeast, AtMost: c.AtMost,
		Match: &exchange.Match{Operation: c.Operation, Method: c.Method, Path: c.Path, User: c.User, App: c.App, Header: c.Header,
			Status: c.Status}}
	if c.Body != "" {
		if !json.Valid([]byte(c.Body)) {
			return x, fmt.Errorf("body: %q is no JSON, as {\"tweet_id\":\"20\"}", c.Body)
		}
		x.Match.Body = json.RawMessage(c.Body)
	}
	if c.Within != 0 {
		x.Within = c.Within.String()
	}
	return x, nil
}

func (c *verifyCmd) Run(e *env) error {
	expected, err := c.expectation(e)
	if err != nil {
		return err
	}
	return c.with(e, false, func(a *admin.Client) error {
		v, err := a.Verify(e.ctx, expected)
		if err != nil {
			return err
		}
		if !v.Refused() || c.JSON {
			err = c.print(e, v, func(w io.Writer) { fmt.Fprintf(w, "as expected: %d\n", v.Found) })
		}
		if err == nil && v.Refused() {
			err = errors.New(v.String())
		}
		return err
	})
}
