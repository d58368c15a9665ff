package capture

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Log is what a program called. The zero value is ready.
type Log struct {
	mu     sync.Mutex
	calls  map[Call]int // by what is known but their number
	misses map[Miss]int
}

// Call is what calls have in common.
type Call struct {
	Method string `json:"method"`
	Path   string `json:"path"` // with {id} for numbers
	Status int    `json:"status"`
	Why    string `json:"why,omitempty"` // it was refused
	Count  int    `json:"count"`
}

// Miss is a call to X that was refused on its way: the server did not see it.
type Miss struct {
	Host  string `json:"host"`
	Why   string `json:"why"`
	Count int    `json:"count"`
}

// maxDistinct bounds what is told apart; more of it is counted as one.
const maxDistinct = 1000

func count[K comparable](counts *map[K]int, key, rest K) {
	if *counts == nil {
		*counts = make(map[K]int)
	}
	if (*counts)[key] == 0 && len(*counts) >= maxDistinct {
		key = rest
	}
	(*counts)[key]++
}

func (l *Log) call(r *http.Response) {
	segments := strings.Split(r.Request.URL.Path, "/")
	for i, s := range segments {
		if s != "1.1" && i > 1 && strings.Trim(s, "0123456789") == "" && s != "" {
			segments[i] = "{id}"
		}
	}
	c := Call{Method: r.Request.Method, Path: strings.Join(segments, "/"), Status: r.StatusCode}
	if c.Status >= 400 {
		c.Why = cmp.Or(r.Header.Get("X-Liked-Explain"), http.StatusText(c.Status))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	count(&l.calls, c, Call{Method: c.Method, Path: "(many others)", Status: c.Status})
}

func (l *Log) miss(host, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	count(&l.misses, Miss{Host: cmp.Or(canonical(host), "a host without a name"), Why: why}, Miss{Host: "(many others)"})
}

// Summary is all that a program called, most often first.
type Summary struct {
	Calls   int    `json:"calls"`
	Likes   int    `json:"likes"`   // calls that like, and were answered
	Unlikes int    `json:"unlikes"` // calls that take a like back, likewise
	Answers []Call `json:"answers"`
	Errors  []Miss `json:"errors"` // calls to X that were refused on their way
}

// Refused counts the calls that were refused.
func (s Summary) Refused() (n int) {
	for _, c := range s.Answers {
		if c.Status >= 400 {
			n += c.Count
		}
	}
	return n
}

// Summary returns what was called so far.
func (l *Log) Summary() Summary {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Summary{Answers: []Call{}, Errors: []Miss{}} // in JSON no null
	for c, n := range l.calls {
		c.Count = n
		s.Answers = append(s.Answers, c)
		s.Calls += n
		switch {
		case c.Status != http.StatusOK:
		case c.Method == "POST" && (c.Path == "/2/users/{id}/likes" || c.Path == "/1.1/favorites/create.json"):
			s.Likes += n
		case c.Method == "DELETE" && c.Path == "/2/users/{id}/likes/{id}", c.Method == "POST" && c.Path == "/1.1/favorites/destroy.json":
			s.Unlikes += n
		}
	}
	for m, n := range l.misses {
		m.Count = n
		s.Errors = append(s.Errors, m)
	}
	slices.SortFunc(s.Answers, func(a, b Call) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Path, b.Path), strings.Compare(a.Method, b.Method),
			cmp.Compare(a.Status, b.Status), strings.Compare(a.Why, b.Why))
	})
	slices.SortFunc(s.Errors, func(a, b Miss) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Host, b.Host), strings.Compare(a.Why, b.Why))
	})
	return s
}
