package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// value is what a list of likes may hold: a text or an object.
type value struct {
	text    string
	members map[string]json.RawMessage
}

// member is the text that a member holds, "" if it holds none.
func (v value) member(name string) (text string) {
	_ = json.Unmarshal(v.members[name], &text)
	return text
}

func (v value) has(name string) bool { return v.members[name] != nil }

// object is the object that a member holds, without members if it holds none.
func (v value) object(name string) (o value) {
	_ = json.Unmarshal(v.members[name], &o.members)
	return o
}

// decoder reads JSON as a stream: no value, and nothing between two, may have more than maxValue bytes.
type decoder struct {
	*json.Decoder
	in      io.Reader
	r       *reader
	read    int64
	allowed int64
}

var (
	errLong  = fmt.Errorf("a value in it has more than %d bytes", maxValue)
	errLarge = fmt.Errorf("it has more than %d bytes", maxText)
)

func (d *decoder) Read(b []byte) (int, error) {
	switch {
	case d.read >= d.allowed:
		return 0, errLong
	case d.r.left <= 0:
		return 0, errLarge
	}
	n, err := d.in.Read(b[:min(int64(len(b)), d.allowed-d.read, d.r.left)])
	d.read += int64(n)
	d.r.left -= int64(n)
	return n, err
}

// allow bounds what is read until the next call.
func (d *decoder) allow() { d.allowed = d.InputOffset() + maxValue }

// json reads all values, or only the first. It returns what follows.
func (r *reader) json(in io.Reader, first bool) (io.Reader, error) {
	d := &decoder{in: in, r: r}
	d.Decoder = json.NewDecoder(d)
	d.UseNumber()
	for {
		err := r.value(d, "", 0)
		if err == io.EOF && !first { // after the last value
			return nil, nil
		}
		if err != nil {
			return nil, r.explain(d, err)
		}
		if first {
			return io.MultiReader(d.Buffered(), in), nil
		}
	}
}

// explain says in plain words why JSON cannot be read.
func (r *reader) explain(d *decoder, err error) error {
	what := ""
	switch _, syntax := errors.AsType[*json.SyntaxError](err); {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		what = "it ends in the middle: get the file again"
	case syntax && strings.Contains(err.Error(), "max depth"):
		what = fmt.Sprintf("values in values, too deep behind value %d", r.found)
	case syntax:
		what = fmt.Sprintf("it is not JSON at byte %d, behind value %d: mend it there, or get the file again", d.InputOffset(), r.found)
	case err == errLong || err == errLarge:
		what = err.Error()
	default:
		return err
	}
	return fmt.Errorf("%s: %s", r.where, what)
}

// lists are the members that hold the items of an ActivityPub collection, and of an answer of listRecords.
const lists = " orderedItems items records "

// value reads the next value. What is in a list is an item of it, and so is an object without a list.
func (r *reader) value(d *decoder, list string, depth int) error {
	d.allow()
	token, err := d.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('['):
		if depth == maxLists {
			return fmt.Errorf("%s: lists in lists, more than %d deep", r.where, maxLists)
		}
		for d.More() {
			if err := r.value(d, list, depth+1); err != nil {
				return unexpected(err)
			}
		}
		d.allow()
		_, err := d.Token()
		return unexpected(err)
	case json.Delim('{'):
		return unexpected(r.members(d, list, depth))
	}
	text, ok := token.(string)
	if !ok {
		text = fmt.Sprint(token)
	}
	return r.item(value{text: text}, list)
}

// unexpected is for an end in the middle.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (r *reader) members(d *decoder, list string, depth int) error {
	v := value{members: make(map[string]json.RawMessage)}
	has := ""
	twice := ""
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string)
		if list == "" && has == "" && strings.Contains(lists, " "+name+" ") {
			has = name
			if err := r.value(d, name, depth); err != nil {
				return err
			}
			d.allow()
			continue
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return err
		}
		if _, ok := v.members[name]; ok {
			twice = name
		}
		v.members[name] = raw
	}
	if _, err := d.Token(); err != nil {
		return err
	}
	switch {
	case twice != "":
		r.found++
		return r.Each(Item{Where: fmt.Sprintf("%s: entry %d", r.where, r.found),
			Err: fmt.Errorf("it has the member %q twice", twice)})
	case has == "records":
		return r.is(bluesky)
	case has != "":
		return r.collection(v)
	}
	return r.item(v, list)
}

// item takes an item of a list, or an object that stands alone.
func (r *reader) item(v value, list string) error {
	kind := v.member("type")
	switch {
	case list == "orderedItems" || list == "items":
		return r.add(mastodon, v, r.mastodonLike)
	case v.has("like"):
		return r.add(ofX, v, xLike)
	case list == "" && v.has("preferredUsername"):
		r.mastodonActor(v)
		return nil
	case list == "" && (slices.Contains(kinds, kind) || r.format == ours):
		return r.record(v)
	case r.format == ofX:
		return r.add(ofX, v, xLike)
	case v.has("subject") || v.has("value") || v.has("$type") || r.found > 0:
		return r.add(bluesky, v, r.blueskyLike)
	}
	what := "it holds no likes"
	switch {
	case v.has("data") || v.has("errors") || v.has("meta") || v.has("error") || v.has("cursor"), kind == "" && (v.has("id") || v.has("uri")):
		what = "it is an answer of an API, not a file of likes"
	case len(v.members) > 0:
		what += fmt.Sprintf(", but %q", slices.Sorted(maps.Keys(v.members)))
	}
	return fmt.Errorf("%s: %s; %s", r.where, what, known)
}

// record hands on one of our own records in a JSON array.
func (r *reader) record(v value) error {
	if err := r.is(ours); err != nil {
		return err
	}
	line, err := json.Marshal(v.members)
	if err != nil {
		return err
	}
	r.found++
	return r.Each(Item{Where: fmt.Sprintf("%s: record %d", r.where, r.found), Line: append(line, '\n'), Done: r.read, Of: r.size})
}
