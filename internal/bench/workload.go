package bench

import (
	"bufio"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// World is what a benchmark needs of the file that `liked dev --credentials` writes.
type World struct {
	URL      string `json:"url"`
	AdminURL string `json:"admin_url"`
	Apps     []struct {
		APIKey    string `json:"api_key"`
		APISecret string `json:"api_secret"`
	} `json:"apps"`
	Users []User `json:"users"`
	Posts []struct {
		ID string `json:"id"`
	} `json:"posts"`

	// Roots are who may vouch for the server, whose URL is https:// then. Nil: it is http://.
	Roots *x509.CertPool `json:"-"`
}

// User is one of a World.
type User struct {
	ID                string `json:"id"`
	AccessToken       string `json:"access_token"`
	OAuth1Token       string `json:"oauth1_token"`
	OAuth1TokenSecret string `json:"oauth1_token_secret"`
}

// ReadWorld reads a credentials file.
func ReadWorld(path string) (World, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return World{}, err
	}
	var w World
	if err := json.Unmarshal(text, &w); err != nil {
		return World{}, fmt.Errorf("%s is not a credentials file: %w", path, err)
	}
	if len(w.Users) == 0 || len(w.Posts) == 0 {
		return World{}, fmt.Errorf("%s names no users or no posts", path)
	}
	// Requests are put together from these as they are.
	for _, u := range w.Users {
		if !isID(u.ID) || strings.ContainsFunc(u.AccessToken+u.OAuth1Token, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' }) {
			return World{}, fmt.Errorf("%s names a user %q with an id or a token that cannot be one", path, u.ID)
		}
	}
	for _, p := range w.Posts {
		if !isID(p.ID) {
			return World{}, fmt.Errorf("%s names a post %q, which cannot be the id of one", path, p.ID)
		}
	}
	return w, nil
}

func isID(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }

// The kinds of calls, as they are named in a mix.
const (
	like = iota
	unlike
	likedTweets
	likingUsers
	count
	kinds
)

var kindNames = [kinds]string{"like", "unlike", "liked_tweets", "liking_users", "count"} // never changes

// patterns are the calls of each kind, as net/http has them.
var patterns = [kinds]string{"POST /2/users/{id}/likes", "DELETE /2/users/{id}/likes/{post}", "GET /2/users/{id}/liked_tweets",
	"GET /2/tweets/{id}/liking_users", "GET /2/tweets/{id}"} // never changes

// Mix is how many calls are of each kind, of as many as these make together.
type Mix [kinds]int

// Mixes that are measured often. Pages are as many of either list.
var (
	Likes  = Mix{like: 100}
	Likers = Mix{likingUsers: 100}
	Liked  = Mix{likedTweets: 100}
	Pages  = Mix{likedTweets: 50, likingUsers: 50}
	Counts = Mix{count: 100}
	Feed   = Mix{like: 2, likedTweets: 50, likingUsers: 50} // 50 reads to a like

	somePages = Mix{like: 198, likedTweets: 1, likingUsers: 1}
)

// FeedPage is how many a page of [Feed] has.
const FeedPage = 20

// ParseMix reads percentages, as in "like=80,liking_users=20", or "feed".
func ParseMix(text string) (Mix, error) {
	if text == "feed" {
		return Feed, nil
	}
	var m Mix
	sum := 0
	for part := range strings.SplitSeq(text, ",") {
		name, number, _ := strings.Cut(strings.TrimSpace(part), "=")
		kind := slices.Index(kindNames[:], name)
		n, err := strconv.Atoi(number)
		if kind < 0 || err != nil || n < 0 || m[kind] != 0 {
			return Mix{}, fmt.Errorf("%q is neither feed nor one of %s with a percentage, as in like=80,liking_users=20",
				part, strings.Join(kindNames[:], ", "))
		}
		m[kind] = n
		sum += n
	}
	if sum != 100 {
		return Mix{}, fmt.Errorf("the percentages of %q make %d, not 100", text, sum)
	}
	return m, nil
}

func (m Mix) String() string {
	if m == Feed {
		return "feed"
	}
	var parts []string
	for kind, n := range m {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s=%g", kindNames[kind], float64(100*n)/float64(m.total())))
		}
	}
	return strings.Join(parts, ",")
}

func (m Mix) total() (n int) {
	for _, share := range m {
		n += share
	}
	return n
}

// draw returns a kind, given a number from 0 to below the total of which each is as likely.
func (m Mix) draw(n int) int {
	for kind, share := range m {
		if n < share {
			return kind
		}
		n -= share
	}
	panic("bench: a number beyond the mix")
}

// Workload is what is called.
type Workload struct {
	Mix Mix

	// Zipf is how unequal the posts are that are liked: the exponent of the Zipf distribution from which they are drawn, above
	// 1. Zero makes each as likely as any other.
	Zipf float64

	// ReadZipf is the same for the posts and the users that are read.
	ReadZipf float64

	// Hot calls about one post only, another in each turn, so that it has no likes when the turn begins.
	Hot bool

	// Page is how many a page has at most; 0 means 100.
	Page int

	// OAuth1 signs each request with OAuth 1.0a (RFC 5849), in place of a bearer token.
	OAuth1 bool
}

func (w Workload) String() string {
	text := w.Mix.String()
	law := func(what string, exponent float64) {
		if exponent > 0 {
			text += fmt.Sprintf(", %ss by Zipf's law with %g", what, exponent)
		} else {
			text += ", each " + what + " as likely"
		}
	}
	writes := w.Mix[like]+w.Mix[unlike] > 0
	switch {
	case w.Hot:
		text += ", one hot post"
	case writes:
		law("post", w.Zipf)
	}
	if w.Mix.reads() {
		if !w.Hot {
			law("read", w.ReadZipf)
		}
		text += fmt.Sprintf(", pages of %d", w.page())
	}
	if w.OAuth1 {
		text += ", signed with OAuth 1.0a"
	}
	return text
}

func (m Mix) reads() bool { return m[likedTweets]+m[likingUsers]+m[count] > 0 }

func (w Workload) page() int { return cmp.Or(w.Page, 100) }

// requests makes the requests of a workload. Callers share it; each has a requester of its own.
type requests struct {
	Workload
	world World
	host  string
	tls   *tls.Config   // nil: plain
	users []User        // in an order of their own: neighbours are not neighbours in the store
	next  atomic.Uint64 // user: they take turns, so that a like is new until every user has liked

	query string // of a read

	// OAuth 1.0a: what is the same in every base string, encoded, and what is the same in those of a user.
	key, base, parameters string
	keys                  []keys
}

// keys are what a user signs with.
type keys struct {
	secret       []byte // of the app and of the user
	token        string // encoded as in a header
	encodedToken string // and again, as in a base string
}

func newRequests(world World, base string, w Workload) (*requests, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Port() == "" {
		return nil, fmt.Errorf("%q is neither http://host:port nor https://host:port", base)
	}
	if (u.Scheme == "https") != (world.Roots != nil) {
		return nil, fmt.Errorf("%s: TLS needs a server with --tls-cert, and the certificate that it is known by", base)
	}
	if w.OAuth1 && (len(world.Apps) == 0 || world.Apps[0].APIKey == "" || world.Users[0].OAuth1Token == "") {
		return nil, errors.New("the credentials have no keys for OAuth 1.0a")
	}
	r := &requests{Workload: w, world: world, host: u.Host, users: slices.Clone(world.Users),
		query: fmt.Sprintf("max_results=%d", w.page())}
	if world.Roots != nil {
		r.tls = &tls.Config{RootCAs: world.Roots, ServerName: u.Hostname(), MinVersion: tls.VersionTLS13}
	}
	random := rand.New(rand.NewPCG(1, 1))
	random.Shuffle(len(r.users), func(i, j int) { r.users[i], r.users[j] = r.users[j], r.users[i] })
	if w.OAuth1 {
		r.key = url.QueryEscape(world.Apps[0].APIKey)
		r.base = url.QueryEscape(u.Scheme + "://" + u.Host)
		r.parameters = url.QueryEscape("oauth_consumer_key=" + r.key + "&oauth_nonce=")
		for _, u := range r.users {
			token := url.QueryEscape(u.OAuth1Token)
			secret := url.QueryEscape(world.Apps[0].APISecret) + "&" + url.QueryEscape(u.OAuth1TokenSecret)
			r.keys = append(r.keys, keys{[]byte(secret), token, url.QueryEscape(token)})
		}
	}
	return r, nil
}

// requester makes one request after the other. One goroutine uses it.
type requester struct {
	*requests
	random                      *rand.Rand
	posts, readPosts, readUsers func() int // indexes
	text                        []byte     // of the last request
	signed                      []byte     // what was signed, likewise
}

func (r *requests) newRequester(turn int, random *rand.Rand) *requester {
	q := &requester{requests: r, random: random}
	drawn := func(n int, exponent float64) func() int {
		if exponent > 0 && n > 1 {
			zipf := rand.NewZipf(random, exponent, 1, uint64(n-1))
			return func() int { return int(zipf.Uint64()) }
		}
		return func() int { return random.IntN(n) }
	}
	posts := len(r.world.Posts)
	q.posts, q.readPosts, q.readUsers = drawn(posts, r.Zipf), drawn(posts, r.ReadZipf), drawn(len(r.users), r.ReadZipf)
	if r.Hot {
		q.posts = func() int { return turn % posts }
		q.readPosts = q.posts
	}
	return q
}

// make returns the bytes of the next request, which hold until the next call, and its kind.
func (q *requester) make() (kind int, text []byte) {
	kind = q.Mix.draw(q.random.IntN(q.Mix.total()))
	return kind, q.request(kind)
}

// request returns the bytes of the next request of a kind. Users take turns.
func (q *requester) request(kind int) []byte {
	by := int(q.next.Add(1) % uint64(len(q.users)))
	user := &q.users[by]
	method, before, id, after, query, body := "GET", "/2/tweets/", "", "", "", ""
	switch kind {
	case like, unlike:
		post := q.world.Posts[q.posts()].ID
		method, before, id, after, body = "POST", "/2/users/", user.ID, "/likes", post
		if kind == unlike {
			method, after, body = "DELETE", "/likes/"+post, ""
		}
	case likedTweets:
		before, id, after, query = "/2/users/", q.users[q.readUsers()].ID, "/liked_tweets", q.query
	case likingUsers:
		id, after, query = q.world.Posts[q.readPosts()].ID, "/liking_users", q.query
	case count:
		id, query = q.world.Posts[q.readPosts()].ID, "tweet.fields=public_metrics"
	}
	t := append(q.text[:0], method...)
	t = append(append(append(append(t, ' '), before...), id...), after...)
	if query != "" {
		t = append(append(t, '?'), query...)
	}
	t = append(append(t, " HTTP/1.1\r\nHost: "...), q.host...)
	if q.OAuth1 {
		t = q.sign(t, method, before+id+after, query, &q.keys[by])
	} else {
		t = append(append(t, "\r\nAuthorization: Bearer "...), user.AccessToken...)
	}
	if body != "" {
		const open, shut = `{"tweet_id":"`, `"}`
		t = append(t, "\r\nContent-Type: application/json\r\nContent-Length: "...)
		t = strconv.AppendInt(t, int64(len(open)+len(body)+len(shut)), 10)
		t = append(append(append(append(t, "\r\n\r\n"...), open...), body...), shut...)
	} else {
		t = append(t, "\r\n\r\n"...)
	}
	q.text = t
	return t
}

// sign appends the header of OAuth 1.0a with HMAC-SHA1 (RFC 5849, 3.4 and 3.5.1). The query is one parameter that
// needs no encoding of its own, and sorts before those of the protocol or after them.
func (q *requester) sign(t []byte, method, path, query string, by *keys) []byte {
	const digits = "0123456789abcdef"
	var nonce [24]byte
	for i := 0; i < len(nonce); i += 8 {
		for j, bits := 0, q.random.Uint32(); j < 8; j, bits = j+1, bits>>4 {
			nonce[i+j] = digits[bits&15]
		}
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)

	s := append(append(append(q.signed[:0], method...), '&'), q.base...)
	s = append(append(s, url.QueryEscape(path)...), '&')
	parameter := url.QueryEscape(query)
	if query != "" && query < "oauth" {
		s = append(append(s, parameter...), "%26"...)
	}
	s = append(append(append(s, q.parameters...), nonce[:]...), "%26oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D"...)
	s = append(append(append(append(s, at...), "%26oauth_token%3D"...), by.encodedToken...), "%26oauth_version%3D1.0"...)
	if query > "oauth" {
		s = append(append(s, "%26"...), parameter...)
	}
	q.signed = s
	mac := hmac.New(sha1.New, by.secret)
	mac.Write(s)
	var sum [sha1.Size]byte
	signature := base64.StdEncoding.EncodeToString(mac.Sum(sum[:0]))

	t = append(append(t, "\r\nAuthorization: OAuth oauth_consumer_key=\""...), q.key...)
	t = append(append(t, "\", oauth_nonce=\""...), nonce[:]...)
	t = append(append(t, "\", oauth_signature=\""...), url.QueryEscape(signature)...)
	t = append(append(t, "\", oauth_signature_method=\"HMAC-SHA1\", oauth_timestamp=\""...), at...)
	t = append(append(t, "\", oauth_token=\""...), by.token...)
	return append(t, "\", oauth_version=\"1.0\""...)
}

// costs are what one request costs to make, and its signature alone.
func (r *requests) costs() (build, sign time.Duration) {
	q := r.newRequester(0, rand.New(rand.NewPCG(1, 2)))
	build = cost(func() { q.make() })
	if q.OAuth1 {
		path := "/2/users/" + q.users[0].ID + "/likes"
		sign = cost(func() { q.text = q.sign(q.text[:0], "POST", path, "", &q.keys[0]) })
	}
	return build, sign
}

// cost is what a call costs, the median of some.
func cost(call func()) time.Duration {
	took := make([]time.Duration, 21)
	for i := range took {
		start := time.Now()
		for range 100 {
			call()
		}
		took[i] = time.Since(start) / 100
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// Fill writes n likes as records for `liked import`: those of [World.Pairs].
func (w World) Fill(ctx context.Context, out io.Writer, n int) error {
	pairs, err := w.Pairs(n)
	if err != nil {
		return err
	}
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	b := bufio.NewWriterSize(out, 1<<20)
	var line []byte
	i := 0
	for user, post := range pairs {
		if i%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		line = append(append(line[:0], `{"type":"like","user_id":"`...), w.Users[user].ID...)
		line = append(append(append(line, `","post_id":"`...), w.Posts[post].ID...), `","at":"`...)
		line = at.Add(time.Duration(i/10)*time.Millisecond).AppendFormat(line, "2006-01-02T15:04:05.000Z")
		line = append(line, `","n":`...)
		line = append(strconv.AppendInt(line, int64(i%10), 10), "}\n"...)
		if _, err := b.Write(line); err != nil {
			return err
		}
		i++
	}
	return b.Flush()
}

// Pairs are n likes, as indexes of a user and a post: each user likes as many posts as the others, each post is liked by as
// many users, and both lists are in no order of their ids. It fails if there are not as many pairs.
func (w World) Pairs(n int) (iter.Seq2[int, int], error) {
	users, posts := len(w.Users), len(w.Posts)
	if n < 1 || n > users*posts {
		return nil, fmt.Errorf("likes: %d is not from 1 to %d, which is a like of each post by each user", n, users*posts)
	}
	random := rand.New(rand.NewPCG(1, 4))
	order, first := random.Perm(posts), random.Perm(users)
	return func(yield func(user, post int) bool) {
		for i := range n {
			user := first[i%users]
			if !yield(user, order[(i/users+user)%posts]) {
				return
			}
		}
	}, nil
}
