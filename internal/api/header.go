package api

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"liked"
	"liked/internal/exchange"
	"liked/internal/faults"
)

// requestState is the state of one request. Its spaces and its reuse spare likes allocations.
type requestState struct {
	exchange.Exchange
	access     liked.Access
	limits     []liked.RateState
	connection string
	call       call
	course     faults.Course

	limitSpace  [3]liked.RateState
	idSpace     [2]pair
	bodySpace   [64]byte
	memberSpace [2]member
	values      [14]string
	used        int
}

// requestStates pools states of done requests, emptied. Headers refer to a state's values, so they must have been sent.
var requestStates = sync.Pool{New: func() any { return new(requestState) }}

func (x *requestState) release() {
	users, posts := x.call.users.emptied(), x.call.posts.emptied()
	*x = requestState{call: call{users: users, posts: posts}}
	requestStates.Put(x)
}

func newRequestState(rt *endpoint, r *http.Request) *requestState {
	x := requestStates.Get().(*requestState)
	x.Exchange = exchange.New("", r)
	if rt != nil {
		x.Operation = rt.id
	}
	x.connection, _ = r.Context().Value(connKey{}).(string)
	return x
}

// set sets a header. The key must be canonical.
func (x *requestState) set(h http.Header, key, value string) {
	x.values[x.used] = value
	h[key] = x.values[x.used : x.used+1 : x.used+1]
	x.used++
}

// reply sends the answer, for HEAD without a body.
func (x *requestState) reply(w http.ResponseWriter, r *http.Request, status int, text []byte) {
	x.Status, x.Bytes = status, len(text)
	h := w.Header()
	x.set(h, "X-Response-Time", strconv.FormatInt(time.Since(x.Start).Milliseconds(), 10))
	if r.Method != http.MethodHead {
		x.set(h, "Content-Length", strconv.Itoa(len(text)))
	}
	w.WriteHeader(status)
	w.Write(text) // an error: the client is gone
}

// headers are X's response headers. All answers share the values.
type headers struct {
	always         []header
	apiOnly        []header
	connectionHash bool
}

type header struct {
	key    string // canonical
	values []string
}

var (
	headerJSON    = []string{"application/json; charset=utf-8"}
	headerProblem = []string{"application/problem+json"}
	headerGzip    = []string{"gzip"}
	headerRetry   = []string{"1"} // seconds: a full queue drains well before

	headerUnbuffered = []string{"no"}
)

func newHeaders(f facts) headers {
	h := headers{
		always: []header{
			{"Cache-Control", []string{"no-cache, no-store, max-age=0"}},
			{"Perf", []string{"7402827104"}},
			{"Server", []string{f.server}},
			{"Strict-Transport-Security", []string{"max-age=631138519"}},
		},
		apiOnly: []header{
			{"Api-Version", []string{f.apiVersion}},
			{"Content-Disposition", []string{"attachment; filename=json.json"}},
			{"Content-Type", headerJSON},
			{"X-Content-Type-Options", []string{"nosniff"}},
			{"X-Frame-Options", []string{"SAMEORIGIN"}},
			{"X-Xss-Protection", []string{"0"}},
		},
		connectionHash: f.connectionHash,
	}
	if f.varyEncoding {
		h.apiOnly = append(h.apiOnly, header{"Vary", []string{"accept-encoding"}})
	}
	return h
}

// NoRoom returns a whole HTTP/1.1 answer, a 503, for connections over the limit.
func (a *API) NoRoom() []byte {
	resp := http.Response{StatusCode: unavailable.status, ProtoMajor: 1, ProtoMinor: 1, Close: true,
		Header: http.Header{"Content-Type": headerJSON, "Retry-After": headerRetry},
		Body:   io.NopCloser(bytes.NewReader(unavailable.body)), ContentLength: int64(len(unavailable.body))}
	for _, f := range a.headers.always {
		resp.Header[f.key] = f.values
	}
	var b bytes.Buffer
	if err := resp.Write(&b); err != nil {
		panic(err) // a buffer never fails
	}
	return b.Bytes()
}

// gateway sets the headers of every answer.
func (hs *headers) gateway(h http.Header, x *requestState) {
	for _, f := range hs.always {
		h[f.key] = f.values
	}
	x.set(h, "X-Transaction-Id", x.TransactionID)
	if hs.connectionHash && x.connection != "" {
		x.set(h, "X-Connection-Hash", x.connection)
	}
}

// api adds the headers of the API's own answers.
func (hs *headers) api(h http.Header, x *requestState) {
	hs.gateway(h, x)
	for _, f := range hs.apiOnly {
		h[f.key] = f.values
	}
	if x.App != 0 {
		x.set(h, "X-Access-Level", x.access.String())
	}
	x.setLimits(h)
}

// setLimits sets the rate-limit headers. All numbers are cut out of one string, to spare allocations.
func (x *requestState) setLimits(h http.Header) {
	var space [len(x.limitSpace) * 3 * 20]byte
	var ends [len(x.limitSpace)][3]int
	digits := space[:0]
	for i := range x.limits {
		s := &x.limits[i]
		for j, n := range [3]int64{int64(s.Max), int64(s.Remaining), s.Reset.Unix()} {
			digits = strconv.AppendInt(digits, n, 10)
			ends[i][j] = len(digits)
		}
	}
	all, start := string(digits), 0
	for i := range x.limits {
		for j, key := range limitHeaders(&x.limits[i]) {
			x.set(h, key, all[start:ends[i][j]])
			start = ends[i][j]
		}
	}
}

// limitHeaders names the headers of a window's limit, remaining requests and end.
func limitHeaders(s *liked.RateState) [3]string {
	switch {
	case s.Window == day && s.App:
		return [3]string{"X-App-Limit-24hour-Limit", "X-App-Limit-24hour-Remaining", "X-App-Limit-24hour-Reset"}
	case s.Window == day:
		return [3]string{"X-User-Limit-24hour-Limit", "X-User-Limit-24hour-Remaining", "X-User-Limit-24hour-Reset"}
	}
	return [3]string{"X-Rate-Limit-Limit", "X-Rate-Limit-Remaining", "X-Rate-Limit-Reset"}
}
