package exchange

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"liked"
)

// Match says which exchanges are meant, as JSON: those that have all that is set. In Path and in the values of Header,
// * stands for any text.
type Match struct {
	Operation string            `json:"operation,omitempty"`
	Method    string            `json:"method,omitempty"`
	Path      string            `json:"path,omitempty"`   // as it was sent, without the query
	App       string            `json:"app,omitempty"`    // id or name
	User      string            `json:"user,omitempty"`   // id or username
	Header    map[string]string `json:"header,omitempty"` // of the request
	Status    int               `json:"status,omitempty"`
	// Body is of the request. Of an object, the members that stand here must be equal, and there may be others; the fields
	// of a form are members with strings. Everything else must be equal as a whole.
	Body json.RawMessage `json:"body,omitempty"`
}

// Names finds what a Match calls by an id or a name.
type Names struct {
	Operation func(name string) error // that there is one
	App       func(name string) (liked.AppID, error)
	User      func(name string) (liked.UserID, error)
}

// CheckOperation returns Invalid, with those that there are, for what is no operation.
func CheckOperation(name string, all []string) error {
	if !slices.Contains(all, name) {
		return liked.Errorf(liked.Invalid, "%q is no operation; there are %s", name, strings.Join(all, ", "))
	}
	return nil
}

// Matcher is a Match with its names found.
type Matcher struct {
	match  Match
	app    liked.AppID
	user   liked.UserID
	header []string // the names in order, canonical
	body   any      // nil: any
}

// Matcher finds the names. What no exchange can have is Invalid; what names fails with is returned.
func (m Match) Matcher(names Names) (*Matcher, error) {
	x := &Matcher{match: m}
	switch {
	case m.Method != strings.ToUpper(m.Method):
		return nil, liked.Errorf(liked.Invalid, "match: a method is in upper case, as %s", strings.ToUpper(m.Method))
	case m.Path != "" && m.Path[0] != '/' && m.Path[0] != '*':
		return nil, liked.Errorf(liked.Invalid, "match: the path %q begins neither with / nor with *; it has no host", m.Path)
	case strings.Contains(m.Path, "?"):
		return nil, liked.Errorf(liked.Invalid, "match: the path %q has a query, which is not matched; leave it out", m.Path)
	case m.Status != 0 && (m.Status < 100 || m.Status > 599):
		return nil, liked.Errorf(liked.Invalid, "match: %d is no status; one is from 100 to 599", m.Status)
	}
	x.match.Header = make(map[string]string, len(m.Header))
	for name, value := range m.Header {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		_, twice := x.match.Header[canonical]
		switch {
		case twice:
			return nil, liked.Errorf(liked.Invalid, "match: the header %s stands twice", canonical)
		case !httpguts.ValidHeaderFieldName(name):
			return nil, liked.Errorf(liked.Invalid, "match: %q is no name of a header", name)
		}
		x.match.Header[canonical] = value
	}
	x.header = slices.Sorted(maps.Keys(x.match.Header))
	var err error
	if m.Operation != "" {
		if err = names.Operation(m.Operation); err != nil {
			return nil, err
		}
	}
	if m.App != "" {
		if x.app, err = names.App(m.App); err != nil {
			return nil, err
		}
	}
	if m.User != "" {
		if x.user, err = names.User(m.User); err != nil {
			return nil, err
		}
	}
	if len(m.Body) > 0 {
		if x.body, err = decode(m.Body); err != nil || x.body == nil {
			return nil, liked.Errorf(liked.Invalid, "match: a body is a JSON value other than null; leave it out for any body")
		}
	}
	return x, nil
}

// Traits are what a Match looks at of one exchange. What is not known yet is zero, and only an unset member matches it.
type Traits struct {
	Operation, Method, Path string
	Host                    string // which net/http takes from the header
	App                     liked.AppID
	User                    liked.UserID
	Header                  http.Header
	Status                  int
	Body                    []byte
}

// NeedsStatus reports whether the match is about answers, so that no request alone can match.
func (x *Matcher) NeedsStatus() bool { return x.match.Status != 0 }

// MatchesRequest is Matches without regard to the status.
func (x *Matcher) MatchesRequest(t Traits) bool {
	t.Status = x.match.Status
	return x.Matches(t)
}

// Matches reports whether the exchange is meant.
func (x *Matcher) Matches(t Traits) bool {
	matches := true
	x.compare(t, func(string, any, any) bool { matches = false; return false })
	return matches
}

// Difference is a field of an exchange that is not as it should be: a member of Match, with a dot before the name of a
// header, or the way to the member of a body ("body.tweet_id"). Got is nil if the exchange has no such thing.
type Difference struct {
	Field  string `json:"field"`
	Wanted any    `json:"wanted"`
	Got    any    `json:"got"`
}

// Differences lists what keeps the exchange from being meant. Without any, it is. Apps and users got are ids.
func (x *Matcher) Differences(t Traits) (all []Difference) {
	x.compare(t, func(field string, wanted, got any) bool {
		all = append(all, Difference{field, wanted, got})
		return true
	})
	return all
}

// compare calls differ with each difference, until it returns false.
func (x *Matcher) compare(t Traits, differ func(field string, wanted, got any) bool) {
	m := &x.match
	if m.Operation != "" && m.Operation != t.Operation && !differ("operation", m.Operation, known(t.Operation)) ||
		m.Method != "" && m.Method != t.Method && !differ("method", m.Method, known(t.Method)) ||
		m.Path != "" && !like(m.Path, t.Path) && !differ("path", m.Path, known(t.Path)) ||
		x.app != 0 && x.app != t.App && !differ("app", m.App, known(t.App)) ||
		x.user != 0 && x.user != t.User && !differ("user", m.User, known(t.User)) ||
		m.Status != 0 && m.Status != t.Status && !differ("status", m.Status, known(t.Status)) {
		return
	}
	for _, name := range x.header {
		values := t.Header[name]
		if name == "Host" && t.Host != "" {
			values = []string{t.Host}
		}
		if slices.ContainsFunc(values, func(v string) bool { return like(m.Header[name], v) }) {
			continue
		}
		if !differ("header."+name, m.Header[name], known(strings.Join(values, ", "))) {
			return
		}
	}
	if x.body != nil {
		compareBodies("body", x.body, bodyOf(t), differ)
	}
}

// known returns nil for what an exchange does not have.
func known[T comparable](v T) any {
	if v == *new(T) {
		return nil
	}
	return v
}

// like reports whether text is as the pattern, in which * stands for any text.
func like(pattern, text string) bool {
	first, rest, more := strings.Cut(pattern, "*")
	if !more {
		return text == pattern
	}
	text, ok := strings.CutPrefix(text, first)
	if !ok {
		return false
	}
	for {
		part, after, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(text, part)
		}
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text, rest = text[i+len(part):], after
	}
}

// bodyOf reads a body: JSON, a form as an object, other text as a string, nil for none.
func bodyOf(t Traits) any {
	if len(t.Body) == 0 {
		return nil
	}
	if kind, _, _ := mime.ParseMediaType(t.Header.Get("Content-Type")); kind == "application/x-www-form-urlencoded" {
		if form, err := url.ParseQuery(string(t.Body)); err == nil {
			fields := make(map[string]any, len(form))
			for name, values := range form {
				fields[name] = strings.Join(values, ", ")
			}
			return fields
		}
	}
	if v, err := decode(t.Body); err == nil {
		return v
	}
	return string(t.Body)
}

// decode reads one JSON value, its numbers as written.
func decode(text []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err = d.Decode(&v); err == nil {
		if _, end := d.Token(); end != io.EOF {
			err = liked.Errorf(liked.Invalid, "something follows the value")
		}
	}
	return v, err
}

func compareBodies(field string, wanted, got any, differ func(field string, wanted, got any) bool) bool {
	members, object := wanted.(map[string]any)
	theirs, same := got.(map[string]any)
	if !object || !same {
		return equal(wanted, got) || differ(field, wanted, got)
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		value, there := theirs[name]
		if !there {
			if !differ(field+"."+name, members[name], nil) {
				return false
			}
			continue
		}
		if !compareBodies(field+"."+name, members[name], value, differ) {
			return false
		}
	}
	return true
}

func equal(a, b any) bool {
	switch a := a.(type) {
	case json.Number:
		b, ok := b.(json.Number)
		if !ok || a == b {
			return ok
		}
		x, errX := strconv.ParseFloat(a.String(), 64)
		y, errY := strconv.ParseFloat(b.String(), 64)
		return errX == nil && errY == nil && x == y && strings.ContainsAny(a.String()+b.String(), ".eE")
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equal)
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, equal)
	}
	switch b.(type) {
	case []any, map[string]any:
		return false
	}
	return a == b
}
