package api

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"liked/internal/exchange"
)

// maxBody is in bytes. The longest body that X's own schema allows is well below it.
const maxBody = 64 << 10

// maxDepth bounds the nesting of bodies, maxMembers the members of an object.
const (
	maxDepth   = 32
	maxMembers = 64
)

// schema describes a body. Refusals have the texts of X's JSON-schema validator.
type schema struct {
	properties []property
	open       openness
}

// openness says whether unknown keys are ignored.
type openness uint8

const (
	closedAlways openness = iota
	closedLater           // refused from 2026 on
	openAlways
)

func (s *schema) closed(f facts) bool {
	return s.open == closedAlways || s.open == closedLater && f.closedLikeBody
}

type property struct {
	name     string
	typ      string // as typeOf names it
	pattern  pattern
	required bool
	enum     []string // of strings; nil: any
	object   *schema  // of objects; nil: any
	newer    bool     // known only with facts.newerWords
	example  string   // of strings, or of an array's one; "": not in examples, unless a required object
	value    string   // in the Postman collection, with variables; "": the example
}

// pattern is what a string must match. String returns its regular expression.
type pattern interface {
	MatchString(string) bool
	String() string
}

type digits struct{ min, max int }

func (d *digits) MatchString(s string) bool {
	if len(s) < d.min || len(s) > d.max {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func (d *digits) String() string {
	if d.min == d.max {
		return fmt.Sprintf("^[0-9]{%d}$", d.min)
	}
	return fmt.Sprintf("^[0-9]{%d,%d}$", d.min, d.max)
}

// body is the members of a JSON object, with values as JSON text, all substrings of one string.
type body []member

type member struct{ name, value string }

func (b body) find(name string) (string, bool) {
	for _, m := range b {
		if m.name == name {
			return m.value, true
		}
	}
	return "", false
}

// text returns a string member or "". The body must have passed its schema.
func (b body) text(name string) string {
	value, there := b.find(name)
	if !there {
		return ""
	}
	return unquote(value)
}

var idPattern = &digits{1, 19}

var likeBody = &schema{
	properties: []property{{name: "tweet_id", typ: "string", pattern: idPattern, required: true, example: examplePost, value: "{{postId}}"}},
	open:       closedLater,
}

func (c *catalogue) readBody(w http.ResponseWriter, r *http.Request, x *requestState, s *schema) (body, *problem) {
	text, err := readAll(w, r, x.bodySpace[:])
	switch {
	case err == nil:
	case errors.As(err, new(*http.MaxBytesError)):
		return nil, tooLarge.because("the body is larger than 64 KiB")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, timeout.because("the body did not arrive in time")
	default:
		return nil, c.invalid("the body could not be read: "+err.Error(), notJSON)
	}
	if len(text) == 0 {
		text = []byte("{}")
	} else if !isJSON(r.Header.Get("Content-Type")) {
		return nil, c.invalid("", fault{object{}, "Requests with bodies must have content-type of application/json."})
	}
	whole := trimSpace(string(text))
	if !utf8.Valid(text) || !json.Valid(text) || valueEnd(whole) < 0 {
		return nil, c.invalid(cmp.Or(exchange.BodyForm(r.Header, text), "the body is not valid JSON, or nested deeper than 32"), notJSON)
	}
	if typ := typeOf(whole); typ != "object" {
		return nil, c.invalid("", fault{object{}, "$: " + typ + " found, object expected"})
	}
	members, ok := splitObject(whole, x.memberSpace[:0])
	if !ok {
		return nil, c.invalid("the body has a key twice, or more than 64 keys", notJSON)
	}
	if faults := s.check(c.facts, "$", members); len(faults) > 0 {
		return nil, c.invalid("", faults...)
	}
	return members, nil
}

// readAll reads at most maxBody bytes. A body whose Content-Length fits is read into space; else memory grows with
// the bytes that arrive, not with the length claimed.
func readAll(w http.ResponseWriter, r *http.Request, space []byte) ([]byte, error) {
	if r.ContentLength < 0 || r.ContentLength > int64(len(space)) {
		return io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	}
	text := space[:r.ContentLength]
	_, err := io.ReadFull(r.Body, text)
	return text, err
}

var notJSON = fault{object{}, "Request body is not valid JSON."}

// isJSON accepts application/json in any case, with any parameters.
func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return false
	}
	return media == "application/json"
}

// check lists the faults of members at place: those present in body order, then the missing.
func (s *schema) check(f facts, place string, members body) (faults []fault) {
	for _, m := range members {
		p, known := s.property(m.name)
		known = known && (!p.newer || f.newerWords)
		typ := typeOf(m.value)
		switch {
		case !known && s.closed(f):
			faults = append(faults, m.refuse(place, "is not defined in the schema and the schema does not allow additional properties"))
		case !known:
		case typ != p.typ:
			faults = append(faults, m.refuse(place, typ+" found, "+p.typ+" expected"))
		case p.pattern != nil && !p.pattern.MatchString(unquote(m.value)):
			faults = append(faults, m.refuse(place, "does not match the regex pattern "+p.pattern.String()))
		case p.enum != nil && !slices.Contains(p.enum, unquote(m.value)):
			faults = append(faults, m.refuse(place, "does not have a value in the enumeration ["+strings.Join(p.enum, ", ")+"]"))
		case typ == "string" && strings.Contains(unquote(m.value), "\x00"): // refused by the store
			faults = append(faults, m.refuse(place, "does not match the regex pattern ^[^\\u0000]*$"))
		case p.object != nil:
			inner, ok := splitObject(m.value, nil)
			if !ok {
				faults = append(faults, m.refuse(place, "has a key twice, or more than 64 keys"))
				continue
			}
			faults = append(faults, p.object.check(f, place+"."+m.name, inner)...)
		}
	}
	for i := range s.properties {
		p := &s.properties[i]
		if _, there := members.find(p.name); p.required && !there {
			faults = append(faults, fault{object{}, place + "." + p.name + ": is missing but it is required"})
		}
	}
	return faults
}

func (m member) refuse(place, what string) fault {
	at := place + "." + m.name
	return fault{object{at, []string{m.value}}, at + ": " + what}
}

func (s *schema) property(name string) (_ *property, known bool) {
	for i := range s.properties {
		if s.properties[i].name == name {
			return &s.properties[i], true
		}
	}
	return nil, false
}

// typeOf names a JSON text's type as the validator does.
func typeOf(text string) string {
	switch text[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	if strings.ContainsAny(text, ".eE") {
		return "number"
	}
	return "integer"
}

// splitObject appends the members of text, which must be a valid JSON object, in order to members, which is empty. It
// is not ok if a name occurs twice or there are more than maxMembers.
func splitObject(text string, members body) (_ body, ok bool) {
	for text = trimSpace(text)[1:]; ; {
		if text = trimSpace(text); text[0] == '}' {
			return members, true
		}
		if text[0] == ',' {
			text = trimSpace(text[1:])
		}
		end := valueEnd(text)
		name := unquote(text[:end])
		text = trimSpace(trimSpace(text[end:])[1:]) // past the colon
		end = valueEnd(text)
		if _, twice := members.find(name); twice || len(members) == maxMembers {
			return nil, false
		}
		members = append(members, member{name, text[:end]})
		text = text[end:]
	}
}

// valueEnd returns the length of the JSON value that text begins with, which must be valid; -1 if it is nested deeper
// than maxDepth.
func valueEnd(text string) int {
	nesting := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			if nesting == 0 {
				return i + 1
			}
		case '{', '[':
			if nesting++; nesting > maxDepth {
				return -1
			}
		case '}', ']':
			if nesting--; nesting == 0 {
				return i + 1
			} else if nesting < 0 {
				return i // the end of the enclosing value
			}
		case ',', ' ', '\t', '\r', '\n':
			if nesting == 0 {
				return i
			}
		}
	}
	return len(text)
}

func trimSpace(text string) string { return strings.TrimLeft(text, " \t\r\n") } // JSON white space

// unquote returns the string of valid JSON, "" for other types.
func unquote(text string) string {
	if text[0] != '"' {
		return ""
	}
	inner := text[1 : len(text)-1]
	if strings.IndexByte(inner, '\\') < 0 {
		return inner
	}
	var s string
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		panic(err) // the text was checked
	}
	return s
}
