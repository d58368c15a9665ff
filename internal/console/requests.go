package console

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"liked/internal/journal"
)

// LivePath is where the list gets the requests that are made, for as long as it is shown.
const LivePath = "/console/live"

var listRoutes = []route{
	{pattern: "GET /console", serve: (*call).requests},
	{pattern: "GET " + LivePath, serve: (*call).live},
	{pattern: "POST /console/clear", serve: (*call).clearRequests},
}

// filters are the fields by which requests are selected, as /admin/requests has them. Beside them "show" is "all" for pages and
// files, too.
var filters = [...]string{"app", "user", "status", "operation", "text"}

// perPage is how many requests a page shows.
const perPage = "50"

// requestsPage is the data of requests.html.
type requestsPage struct {
	Filter     map[string]string
	Filtered   bool
	Live       string // address of the rows to come; "" on an older page
	Rows       []listed
	Older      string // address of the next page
	Newest     string
	Operations []string
	Trouble    string // why nothing is listed
}

// listed is a request with the names of its caller.
type listed struct {
	journal.Row
	Username, AppName string
}

// Class is the first digit of the status, 0 without an answer.
func (l listed) Class() int { return l.Status / 100 }

// Took is how long the answer took, in milliseconds.
func (l listed) Took() string {
	switch ms := l.DurationMS; {
	case ms < 10:
		return strconv.FormatFloat(ms, 'f', 2, 64) + " ms"
	case ms < 1000:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	default:
		return strconv.FormatFloat(ms/1000, 'f', 1, 64) + " s"
	}
}

// requests lists the journal, the newest request first.
func (c *call) requests() (answer, error) {
	asked := c.URL.Query()
	address := make(url.Values) // the query of this page
	p := requestsPage{Filter: make(map[string]string), Operations: c.Operations}
	for _, name := range append(filters[:], "show") {
		if value := asked.Get(name); value != "" {
			address.Set(name, value)
			p.Filter[name] = value
		}
	}
	p.Filtered = len(address) > 0
	p.Newest = Path
	if p.Filtered {
		p.Newest += "?" + address.Encode()
	}
	query := filter(asked)
	query.Set("limit", perPage)
	if after := asked.Get("after"); after != "" {
		query.Set("after", after)
	} else {
		p.Live = LivePath + "?" + address.Encode()
	}
	list, err := c.admin.Requests(c.Context(), query)
	if err != nil {
		reason := err.Error()
		for name, value := range p.Filter { // the field shows both
			reason = strings.TrimPrefix(reason, fmt.Sprintf("%s=%q: ", name, value))
		}
		p.Trouble, p.Live = sentence(reason), ""
	}
	names := c.newNames()
	for _, row := range list.Data {
		p.Rows = append(p.Rows, names.listed(c.Context(), row))
	}
	if list.Next != "" {
		address.Set("after", list.Next)
		p.Older = Path + "?" + address.Encode()
	}
	return page("requests", "Requests", p)
}

// filter is what the fields select, for /admin/requests.
func filter(asked url.Values) url.Values {
	query := make(url.Values)
	for _, name := range filters {
		if value := asked.Get(name); value != "" {
			query.Set(name, value)
		}
	}
	if asked.Get("show") != "all" {
		query.Set("calls", "true")
	}
	return query
}

// names finds the names of callers, each once.
type names struct {
	*Console
	users, apps map[string]string
}

func (c *Console) newNames() *names {
	return &names{c, make(map[string]string), make(map[string]string)}
}

// maxNames bounds what a live list remembers.
const maxNames = 1000

func (n *names) listed(ctx context.Context, row journal.Row) listed {
	return listed{row, n.user(ctx, row.User), n.app(ctx, row.App)}
}

// user returns the username, or the id of an account that is no more.
func (n *names) user(ctx context.Context, id string) string {
	return n.find(n.users, id, func() string {
		i, err := n.identify(ctx, Acting{User: id})
		if err != nil {
			return ""
		}
		return i.Username
	})
}

func (n *names) app(ctx context.Context, id string) string {
	return n.find(n.apps, id, func() string {
		i, err := n.identify(ctx, Acting{App: id})
		if err != nil {
			return ""
		}
		return i.AppName
	})
}

func (n *names) find(known map[string]string, id string, look func() string) string {
	if id == "" {
		return ""
	}
	name, ok := known[id]
	if !ok {
		if name = look(); name == "" {
			name = id
		}
		if len(known) >= maxNames {
			clear(known)
		}
		known[id] = name
	}
	return name
}

const (
	// writeTime is how long a reader of the live list may take for a row.
	writeTime = 10 * time.Second
	// maxRate is how many rows a second the live list gets: nobody reads more, and each is rendered.
	maxRate = 200
)

// live sends requests as they are recorded, as server-sent events: request with a row of the table as HTML, lost when there were
// more than can be shown, and cleared.
func (c *call) live() (answer, error) {
	return answer{write: func(w http.ResponseWriter) (status, size int) { return c.follow(w, filter(c.URL.Query())) }}, nil
}

func (c *call) follow(w http.ResponseWriter, query url.Values) (status, size int) {
	to := http.NewResponseController(w)
	names := c.newNames()
	send := func(event, data string) error {
		_ = to.SetWriteDeadline(time.Now().Add(writeTime))
		n, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, data)
		size += n
		if err == nil {
			err = to.Flush()
		}
		_ = to.SetWriteDeadline(time.Time{}) // which ends a stream of HTTP/2 that has nothing to write, too
		return err
	}
	_ = to.SetReadDeadline(time.Time{})
	var second time.Time
	sent := 0 // in that second
	status = http.StatusOK
	err := c.admin.FollowRequests(c.Context(), query, func() {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_ = send("ready", "{}")
	}, func(row journal.Row) error {
		if now := time.Now(); now.Sub(second) >= time.Second {
			second, sent = now, 0
		}
		if sent++; sent > maxRate {
			if sent == maxRate+1 {
				return send("lost", "{}")
			}
			return nil
		}
		html, err := rowHTML(names.listed(c.Context(), row))
		if err != nil {
			return err
		}
		return send("request", html)
	}, func(uint64) { _ = send("lost", "{}") }, func() { _ = send("cleared", "{}") })
	if size == 0 && err != nil {
		a := c.trouble(err)
		status = a.status
		w.WriteHeader(status)
	}
	return status, size
}

// rowHTML is a row of the table, on one line.
func rowHTML(l listed) (string, error) {
	var html bytes.Buffer
	if err := look().templates["requests"].ExecuteTemplate(&html, "row", l); err != nil {
		return "", err
	}
	return strings.NewReplacer("\n", " ", "\r", " ").Replace(html.String()), nil // either ends a line of an event
}

func (c *call) clearRequests() (answer, error) {
	if err := c.admin.ClearRequests(c.Context()); err != nil {
		return answer{}, err
	}
	return c.back(c.from(), Notice{Text: "The list is empty: what comes from now on stands in it."})
}
