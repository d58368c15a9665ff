package console

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"liked"
	"liked/internal/journal"
	"liked/internal/web"
)

var requestRoutes = []route{
	{pattern: "GET /console/requests/{transaction}", serve: (*call).request},
	{pattern: "GET /console/code.js", serve: (*call).codeFile, free: true},
	{pattern: "POST /console/requests/{transaction}/again", serve: (*call).sendAgain},
	{pattern: "POST /console/requests/{transaction}/fault", serve: (*call).makeFault},
	{pattern: "POST /console/undo/fault/{fault}", serve: (*call).removeFault},
}

// requestPage is the data of request.html.
type requestPage struct {
	listed
	Detail         journal.Detail
	Sent, Answered message
	Windows        []windowChange
	Ours, Theirs   marked // base strings of OAuth 1.0a
	Again          again
	Code           string // the call for code.js, as JSON; "": there is no code for it
	Provokable     bool
	Assertion      assertion
}

// request shows one request with all that the journal keeps of it, and what can be made of it.
func (c *call) request() (answer, error) {
	d, err := c.admin.Request(c.Context(), c.PathValue("transaction"))
	if err != nil {
		return answer{}, err
	}
	p := requestPage{listed: c.newNames().listed(c.Context(), d.Row), Detail: d, Sent: messageOf(d.Request), Answered: messageOf(d.Response),
		Windows: windows(d.Limits), Provokable: slices.Contains(c.Operations, d.Operation)}
	if s := d.Signature; s != nil {
		p.Ours, p.Theirs = mark(s.BaseString, s.Signed)
	}
	p.Again = c.againOf(p.listed, d)
	p.Code = c.code(d)
	if p.Assertion, err = c.assertion(p.listed, d); err != nil {
		return answer{}, err
	}
	return page("request", d.Method+" "+d.Path, p)
}

// message is one side of an exchange as it is shown.
type message struct {
	journal.Message
	Names  []string // of the headers, in order
	Pretty string   // the body, with JSON in lines
}

func messageOf(m journal.Message) message {
	shown := message{Message: m, Pretty: indented(m.Body)}
	for name := range m.Headers {
		shown.Names = append(shown.Names, name)
	}
	slices.Sort(shown.Names)
	return shown
}

// indented is a body with JSON in lines, and otherwise as it came.
func indented(body string) string {
	var lines bytes.Buffer
	if json.Indent(&lines, []byte(body), "", "  ") != nil {
		return body
	}
	return lines.String()
}

// windowChange is a rate window around a request.
type windowChange struct {
	Of, Window    string
	Limit         int
	Before, After int // remaining
	Reset         time.Time
}

func windows(l *journal.Limits) (all []windowChange) {
	if l == nil {
		return nil
	}
	for i, after := range l.After {
		all = append(all, windowChange{after.Of, after.Window, after.Limit, l.Before[i].Remaining, after.Remaining, after.Reset})
	}
	return all
}

// marked is a text with the part in which it differs from another.
type marked struct{ Same, Differs, Rest string }

// mark compares two base strings. Without a second one nothing is marked.
func mark(a, b string) (marked, marked) {
	if b == "" || a == b {
		return marked{Same: a}, marked{Same: b}
	}
	first, last := 0, 0
	for first < len(a) && first < len(b) && a[first] == b[first] {
		first++
	}
	for last < len(a)-first && last < len(b)-first && a[len(a)-1-last] == b[len(b)-1-last] {
		last++
	}
	cut := func(s string) marked { return marked{s[:first], s[first : len(s)-last], s[len(s)-last:]} }
	return cut(a), cut(b)
}

// described is what the description of X's API says of an operation.
type described struct {
	path   string
	types  map[string]string // of the parameters in the query
	stream bool
}

// describe reads the description.
func describe(text []byte) map[string]described {
	var document struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Stream      bool   `json:"x-twitter-streaming"`
			Parameters  []struct {
				In, Name string
				Schema   struct{ Type string }
			}
		}
	}
	all := make(map[string]described)
	if json.Unmarshal(text, &document) != nil {
		return all
	}
	for path, methods := range document.Paths {
		for _, op := range methods {
			d := described{path, make(map[string]string), op.Stream}
			for _, p := range op.Parameters {
				if p.In == "query" {
					d.types[p.Name] = p.Schema.Type
				}
			}
			all[op.OperationID] = d
		}
	}
	return all
}

// inPath returns what stands for the names of a path, in their order; ok: the path fits.
func (d described) inPath(path string) (values [][2]string, ok bool) {
	names, parts := strings.Split(d.path, "/"), strings.Split(path, "/")
	if len(names) != len(parts) {
		return nil, false
	}
	values = [][2]string{}
	for i, name := range names {
		if inner, ok := strings.CutPrefix(name, "{"); ok {
			value, err := url.PathUnescape(parts[i])
			if err != nil {
				return nil, false
			}
			values = append(values, [2]string{strings.TrimSuffix(inner, "}"), value})
		} else if name != parts[i] {
			return nil, false
		}
	}
	return values, true
}

// code returns the request as the call that code.js of the API explorer writes in several languages, "" if it has no code.
func (c *call) code(d journal.Detail) string {
	op, ok := c.described()[d.Operation]
	if !ok || notWhole(d) != "" {
		return ""
	}
	values, ok := op.inPath(d.Path)
	query, err := url.ParseQuery(d.Query)
	if !ok || err != nil {
		return ""
	}
	typed := make(map[string]any)
	for name := range query {
		switch value := query.Get(name); op.types[name] {
		case "array":
			typed[name] = strings.Split(value, ",")
		case "integer":
			typed[name] = json.Number(value)
		default:
			typed[name] = value
		}
	}
	text, err := json.Marshal(map[string]any{"id": d.Operation, "method": d.Method, "path": op.path, "base": c.base(), "inPath": values,
		"query": typed, "body": d.Request.Body})
	if err != nil { // a number that is none
		return ""
	}
	return string(text)
}

// language is one that code.js writes, by its id there.
type language struct{ ID, Name string }

var languages = []language{{"curl", "curl"}, {"typescript", "TypeScript"}, {"python", "Python"}, {"go", "Go"}, {"java", "Java"}}

// codeFile is code.js, from a path of the console: what it loads is not in the list.
func (c *call) codeFile() (answer, error) {
	return c.file(web.Asset("code.js"))
}

// base is where the browser reaches the server.
func (c *call) base() string {
	if c.TLS != nil {
		return "https://" + c.Host
	}
	return "http://" + c.Host
}

// notWhole says why what is kept of a request is not all of it, "" if it is.
func notWhole(d journal.Detail) string {
	switch {
	case d.Request.Cut:
		return "Only the beginning of its body is kept."
	case d.Request.Omitted != "":
		return "Its body is not kept: " + d.Request.Omitted + "."
	}
	return ""
}

// again is the form that sends a request again.
type again struct {
	Why  string // it cannot be sent; "" if it can
	Path string // with the query
	As   []Identity
}

// againOf offers to send a request as whom one calls, as who sent it, and if it was refused for its kind of credential as the
// app alone.
func (c *call) againOf(l listed, d journal.Detail) (a again) {
	op, known := c.described()[d.Operation]
	switch {
	case !known:
		a.Why = "Only calls to the API can be sent again from here."
	case op.stream:
		a.Why = "A stream goes on for as long as somebody reads it: open it from your program."
	default:
		a.Why = notWhole(d)
	}
	if a.Why != "" {
		return a
	}
	a.Path = d.Path
	if d.Query != "" {
		a.Path += "?" + d.Query
	}
	acting := c.Identity(c.Request)
	a.As = []Identity{acting}
	caller := Identity{Acting{d.User, d.App}, l.Username, l.AppName}
	offer := func(i Identity) {
		if i.App != "" && !slices.ContainsFunc(a.As, func(other Identity) bool { return other.Acting == i.Acting }) {
			a.As = append(a.As, i)
		}
	}
	offer(caller)
	if d.Status == 403 {
		for _, i := range []Identity{caller, acting} {
			offer(Identity{Acting{App: i.App}, "", i.AppName})
		}
	}
	return a
}

// sendAgain makes the call that a form describes with a request's method.
func (c *call) sendAgain() (answer, error) {
	d, err := c.admin.Request(c.Context(), c.PathValue("transaction"))
	if err != nil {
		return answer{}, err
	}
	var as Acting
	as.User, as.App, _ = strings.Cut(c.PostForm.Get("as"), ".")
	path := c.PostForm.Get("path")
	if !as.valid() || !strings.HasPrefix(path, "/2/") {
		return answer{}, liked.Errorf(liked.Invalid, "A path of the API begins with /2/")
	}
	if a := c.againOf(listed{Row: d.Row}, d); a.Why != "" {
		return answer{}, liked.Errorf(liked.Invalid, "%s", a.Why)
	}
	who, err := c.identify(c.Context(), as)
	if err != nil {
		return answer{}, err
	}
	done, err := c.send(as, d.Method, path, []byte(strings.TrimSpace(c.PostForm.Get("body"))))
	if err != nil {
		return answer{}, err
	}
	return c.back("/console/requests/"+url.PathEscape(done.Transaction),
		Notice{Text: "Sent again as " + who.String() + ". This is the new request."})
}
