package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// front is what a team would write on a store: one handler of net/http that checks tokens, counts against limits in memory, reads
// bodies and parameters, and answers with the headers and the JSON of X. It has no log, no signatures and no rules about who may
// see what.
type front struct {
	client
	callers map[[32]byte]int64 // user by the hash of the token
	windows [64]struct {
		sync.Mutex
		of map[windowKey]window
	}
}

// windowKey is what is counted together.
type windowKey struct {
	endpoint string
	user     int64
	length   time.Duration
}

type window struct {
	began time.Time
	n     int
}

// limit is as high as ours are set, so that nobody reaches it.
const limit = 1_000_000_000

func newFront(w world, c client) http.Handler {
	f := &front{client: c, callers: make(map[[32]byte]int64)}
	for i := range f.windows {
		f.windows[i].of = make(map[windowKey]window)
	}
	for _, u := range w.Users {
		f.callers[sha256.Sum256([]byte(u.token))] = u.number
	}
	mux := http.NewServeMux()
	quarter, day := 15*time.Minute, 24*time.Hour
	for pattern, row := range map[string]struct {
		serve   func(r *http.Request, user int64) (any, int)
		windows []time.Duration
	}{
		"POST /2/users/{id}/likes":        {f.serveLike, []time.Duration{quarter, day}},
		"GET /2/users/{id}/liked_tweets":  {f.serveLiked, []time.Duration{quarter}},
		"GET /2/tweets/{id}/liking_users": {f.serveLikers, []time.Duration{quarter}},
		"GET /2/tweets/{id}":              {f.serveCount, []time.Duration{quarter}},
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			for name, values := range always {
				h[name] = values
			}
			id := make([]byte, 8)
			_, _ = rand.Read(id) // never fails
			h["X-Transaction-Id"] = []string{hex.EncodeToString(id)}
			token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			user, known := f.callers[sha256.Sum256([]byte(token))]
			if !known {
				write(w, http.StatusUnauthorized, problem{"Unauthorized", http.StatusUnauthorized})
				return
			}
			if !f.take(h, pattern, user, row.windows) {
				write(w, http.StatusTooManyRequests, problem{"Too Many Requests", http.StatusTooManyRequests})
				return
			}
			answer, status := row.serve(r, user)
			if status != http.StatusOK {
				answer = problem{http.StatusText(status), status}
			}
			write(w, status, answer)
		})
	}
	return mux
}

// always are the headers of each answer.
var always = http.Header{
	"Api-Version":               {"2.66"},
	"Cache-Control":             {"no-cache, no-store, max-age=0"},
	"Content-Disposition":       {"attachment; filename=json.json"},
	"Content-Type":              {"application/json; charset=utf-8"},
	"Perf":                      {"7402827104"},
	"Server":                    {"tsa_b"},
	"Strict-Transport-Security": {"max-age=631138519"},
	"X-Access-Level":            {"read-write"},
	"X-Connection-Hash":         {"e93af51e0db7579acf1326baa43ba44bb72fa2f35f32a58d4e1264bfe8d42286"},
	"X-Content-Type-Options":    {"nosniff"},
	"X-Frame-Options":           {"SAMEORIGIN"},
	"X-Response-Time":           {"1"},
	"X-Xss-Protection":          {"0"},
} // never changes

type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
}

func write(w http.ResponseWriter, status int, answer any) {
	text, err := json.Marshal(answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(text))}
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// take counts a request against each window, sets what is left of the first one, and reports whether all had room.
func (f *front) take(h http.Header, endpoint string, user int64, lengths []time.Duration) bool {
	shard := &f.windows[uint64(user)*0x9E3779B97F4A7C15>>58]
	now := time.Now()
	shard.Lock()
	defer shard.Unlock()
	for i, length := range lengths {
		key := windowKey{endpoint, user, length}
		w := shard.of[key]
		if now.Sub(w.began) >= length {
			w = window{began: now}
		}
		w.n++
		shard.of[key] = w
		prefix := "X-Rate-Limit-"
		if i > 0 {
			prefix = "X-User-Limit-24hour-"
		}
		h[prefix+"Limit"] = []string{strconv.Itoa(limit)}
		h[prefix+"Remaining"] = []string{strconv.Itoa(max(0, limit-w.n))}
		h[prefix+"Reset"] = []string{strconv.FormatInt(w.began.Add(length).Unix(), 10)}
		if w.n > limit {
			return false
		}
	}
	return true
}

func (f *front) serveLike(r *http.Request, user int64) (any, int) {
	if r.PathValue("id") != strconv.FormatInt(user, 10) {
		return nil, http.StatusForbidden
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return nil, http.StatusUnsupportedMediaType
	}
	var body struct {
		TweetID string `json:"tweet_id"`
	}
	if json.NewDecoder(http.MaxBytesReader(nil, r.Body, 1<<20)).Decode(&body) != nil {
		return nil, http.StatusBadRequest
	}
	post, err := strconv.ParseInt(body.TweetID, 10, 64)
	if err != nil {
		return nil, http.StatusBadRequest
	}
	if err := f.like(r.Context(), user, post); err != nil {
		return nil, http.StatusServiceUnavailable
	}
	type data struct {
		Liked bool `json:"liked"`
	}
	return struct {
		Data data `json:"data"`
	}{data{true}}, http.StatusOK
}

func (f *front) serveLikers(r *http.Request, _ int64) (any, int) { return servePage(r, f.likers) }
func (f *front) serveLiked(r *http.Request, _ int64) (any, int)  { return servePage(r, f.liked) }

// servePage answers the newest page of a list.
func servePage(r *http.Request, list func(id int64, max int) ([]any, error)) (any, int) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return nil, http.StatusBadRequest
	}
	most := 100
	if text := r.URL.Query().Get("max_results"); text != "" {
		if most, err = strconv.Atoi(text); err != nil || most < 1 || most > 100 {
			return nil, http.StatusBadRequest
		}
	}
	rows, err := list(id, most)
	if err != nil {
		return nil, http.StatusServiceUnavailable
	}
	type meta struct {
		Count int    `json:"result_count"`
		Next  string `json:"next_token,omitempty"`
	}
	m := meta{Count: len(rows)}
	if len(rows) == most {
		m.Next = "7140dibdnow9c7btw481s8m561gat797rboud5r80xvzm"
	}
	return struct {
		Data []any `json:"data,omitempty"`
		Meta meta  `json:"meta"`
	}{rows, m}, http.StatusOK
}

func (f *front) serveCount(r *http.Request, _ int64) (any, int) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return nil, http.StatusBadRequest
	}
	p, err := f.count(id)
	if err != nil {
		return nil, http.StatusServiceUnavailable
	}
	return struct {
		Data counted `json:"data"`
	}{p}, http.StatusOK
}
