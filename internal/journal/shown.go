package journal

import (
	"cmp"
	"strings"
)

// shown is what is shown of a row's texts: what came, without its secrets, wherever they stand.
type shown struct {
	path, query, why string
	sides            [2]side // the request and its answer
}

type side struct {
	head    []byte // a line for each field
	body    []byte // at most MaxBody
	cut     bool   // body is only its beginning
	omitted string // why body is empty
}

// shown cuts the secrets of a row when it is looked at for the first time. Its text is then let go.
func (w *row) shown() *shown {
	w.show.Do(func() {
		var c cutter
		t := new(shown)
		request, answer := &t.sides[0], &t.sides[1]
		kind := request.setHead(&c, w.text[:w.ends[0]])
		t.query = c.form(w.query)
		request.setBody(&c, kind, w.text[w.ends[0]:w.ends[1]])
		kind = answer.setHead(&c, w.text[w.ends[1]:w.ends[2]])
		answer.setBody(&c, kind, w.text[w.ends[2]:])
		answer.omitted = cmp.Or(w.omitted, answer.omitted)
		for i := range t.sides {
			s := &t.sides[i]
			s.head, s.body = c.again(s.head), c.again(s.body)
			s.cut = s.omitted == "" && max(w.sizes[i], int64(len(s.body))) > MaxBody
			s.body = s.body[:whole(s.body[:min(len(s.body), MaxBody)])]
		}
		t.path, t.query, t.why = c.againIn(w.path), c.againIn(t.query), c.againIn(w.why)
		w.texts, w.text = t, nil
	})
	return w.texts
}

// setHead returns the first Content-Type.
func (s *side) setHead(c *cutter, text []byte) (contentType string) {
	s.head = make([]byte, 0, len(text))
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if name == "Content-Type" && contentType == "" {
			contentType = value
		}
		s.head = appendField(s.head, name, c.field(name, value))
	}
	return contentType
}

func (s *side) setBody(c *cutter, contentType string, text []byte) {
	if len(text) > 0 {
		s.body, s.omitted = c.body(contentType, text)
	}
}
