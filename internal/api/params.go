package api

import (
	"cmp"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"liked"
)

// param is a path or query parameter.
type param struct {
	name     string
	form     form
	list     bool // comma-separated; of ids and usernames 1 to maxListed
	required bool
	enum     []string // of word, in the order of error texts
	min, max int      // of integer
	preset   int      // of integer: the default, or 0
	field    []int    // index of its field in the query struct
}

type form uint8

const (
	word     form = iota // one of enum
	integer              // from min to max
	text                 // anything
	dateTime             // RFC 3339
	userID
	postID
	username
	webhookID
	subscriptionID
)

const maxListed = 100

const usernamePattern = "^[A-Za-z0-9_]{1,15}$"

// instant is a time as sent; no text: not sent.
type instant struct {
	time.Time
	text string
}

// queryParams returns the parameters of a query struct, in field order. Tags give the name and whether it is
// required, the form (is), bounds (range), default (preset) and words (words, else the name's), which are those of the
// profile. A parameter whose words the profile lacks is left out.
func queryParams(query any, known map[string][]string) (params []param) {
	if query == nil {
		return nil
	}
	for _, field := range reflect.VisibleFields(reflect.TypeOf(query)) {
		if field.Anonymous {
			continue
		}
		name, required := strings.CutSuffix(field.Tag.Get("query"), ",required")
		p := param{name: name, required: required, list: field.Type.Kind() == reflect.Slice, field: field.Index}
		switch is := field.Tag.Get("is"); {
		case is != "":
			p.form = map[string]form{"userID": userID, "postID": postID, "username": username}[is]
		case p.list:
			p.form, p.enum = word, known[cmp.Or(field.Tag.Get("words"), name)]
			if p.enum == nil {
				continue
			}
		case field.Type == reflect.TypeFor[instant]():
			p.form = dateTime
		case field.Type.Kind() == reflect.Int:
			p.form = integer
			fmt.Sscan(field.Tag.Get("range"), &p.min, &p.max)
			p.preset, _ = strconv.Atoi(field.Tag.Get("preset"))
		default:
			if p.form, p.enum = text, known[field.Tag.Get("words")]; p.enum != nil {
				p.form = word
			}
		}
		params = append(params, p)
	}
	return params
}

// set sets the parameter's field to checked values.
func (p *param) set(field reflect.Value, raw string, values []string) {
	switch {
	case p.list:
		field.Set(reflect.ValueOf(values))
	case p.form == integer:
		n, _ := strconv.Atoi(raw)
		field.SetInt(int64(n))
	case p.form == dateTime:
		at, _ := time.Parse(time.RFC3339, raw)
		field.Set(reflect.ValueOf(instant{at, raw}))
	default:
		field.SetString(raw)
	}
}

// pair is a parameter as sent, decoded.
type pair struct{ name, value string }

// readQuery checks path and query, and returns a pointer to the route's query. Faults are in request order, then the
// missing.
func (rt *endpoint) readQuery(path []pair, raw string) (any, []fault) {
	var faults []fault
	for i, p := range path {
		if what := rt.path[i].refuse(p.value); what != "" {
			faults = append(faults, badValue(p, what))
		}
	}
	sent, ok := splitQuery(raw)
	if !ok {
		return nil, append(faults, fault{object{}, "The query string is not valid"})
	}
	var query reflect.Value
	if rt.query != nil {
		query = reflect.New(reflect.TypeOf(rt.query))
	}
	for i, p := range sent {
		all := valuesOf(p.name, path, sent)
		if slices.ContainsFunc(sent[:i], func(q pair) bool { return q.name == p.name }) {
			continue // reported at its first occurrence
		}
		switch known, ok := rt.param(p.name); {
		case !ok && !slices.ContainsFunc(path, func(id pair) bool { return id.name == p.name }):
			faults = append(faults, fault{object{p.name, all},
				"The query parameter [" + p.name + "] is not one of [" + strings.Join(rt.paramNames(), ",") + "]"})
		case len(all) > 1:
			faults = append(faults, fault{object{p.name, all},
				"Duplicate parameters are not allowed: the `" + p.name + "` query parameter"})
		case p.value == "":
			faults = append(faults, empty(p.name))
		default:
			values := []string{p.value}
			if known.list {
				values = strings.Split(p.value, ",")
			}
			if f, bad := known.check(p.value, values); bad {
				faults = append(faults, f)
			} else {
				known.set(query.Elem().FieldByIndex(known.field), p.value, values)
			}
		}
	}
	for _, p := range rt.params {
		if p.required && valuesOf(p.name, sent) == nil {
			faults = append(faults, empty(p.name))
		}
	}
	if len(faults) > 0 || rt.query == nil {
		return nil, faults
	}
	return query.Interface(), nil
}

func empty(name string) fault {
	return fault{object{name, []string{}}, "The `" + name + "` query parameter can not be empty"}
}

// check finds the fault of the values, which are not empty; raw is as sent.
func (p param) check(raw string, values []string) (f fault, bad bool) {
	if p.list && p.form != word && len(values) > maxListed {
		return fault{object{p.name, values}, "The number of values in the `" + p.name + "` query parameter list [" +
			strconv.Itoa(len(values)) + "] is not between 1 and " + strconv.Itoa(maxListed)}, true
	}
	for _, v := range values {
		if what := p.refuse(v); what != "" {
			return fault{object{p.name, []string{raw}}, "The `" + p.name + "` query parameter value [" + v + "] " + what}, true
		}
	}
	return f, false
}

// refuse returns what is wrong with a value, or "".
func (p param) refuse(v string) string {
	switch p.form {
	case word:
		if !slices.Contains(p.enum, v) {
			return "is not one of [" + strings.Join(p.enum, ",") + "]"
		}
	case integer:
		if n, err := strconv.ParseInt(v, 10, 32); err != nil || v[0] == '+' {
			return "is not a valid integer"
		} else if int(n) < p.min || int(n) > p.max {
			return "is not between " + strconv.Itoa(p.min) + " and " + strconv.Itoa(p.max)
		}
	case text:
	case dateTime:
		if _, err := time.Parse(time.RFC3339, v); err != nil {
			return "is not a valid RFC3339 date-time"
		}
	case username:
		if !liked.ValidUsername(v) {
			return "does not match " + usernamePattern
		}
	default:
		if _, err := liked.ParseID[liked.PostID](v); err != nil {
			return "is not valid"
		}
	}
	return ""
}

// badValue says "query" of a parameter in the path, too, as X does.
func badValue(p pair, what string) fault {
	return fault{object{p.name, []string{p.value}}, "The `" + p.name + "` query parameter value [" + p.value + "] " + what}
}

func (rt *endpoint) param(name string) (param, bool) {
	i := slices.IndexFunc(rt.params, func(p param) bool { return p.name == name })
	if i < 0 {
		return param{}, false
	}
	return rt.params[i], true
}

// paramNames lists all parameters, path first.
func (rt *endpoint) paramNames() []string {
	var names []string
	for _, p := range slices.Concat(rt.path, rt.params) {
		names = append(names, p.name)
	}
	return names
}

func valuesOf(name string, lists ...[]pair) (values []string) {
	for _, pairs := range lists {
		for _, p := range pairs {
			if p.name == name {
				values = append(values, p.value)
			}
		}
	}
	return values
}

// splitQuery keeps the order, unlike url.ParseQuery.
func splitQuery(raw string) (pairs []pair, ok bool) {
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil || strings.Contains(part, ";") {
			return nil, false
		}
		pairs = append(pairs, pair{name, value})
	}
	return pairs, true
}
