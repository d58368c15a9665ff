package bench

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	kinds
)

var kindNames = [kinds]string{"like", "unlike", "liked_tweets", "liking_users"} // never changes

// Mix is how many of a hundred calls are of each kind.
type Mix [kinds]int

// Likes is nothing but likes, and Pages as many reads of either list.
var (
	Likes = Mix{like: 100}
	Pages = Mix{likedTweets: 50, likingUsers: 50}
)

// ParseMix reads percentages, as in "like=80,liking_users=20".
func ParseMix(text string) (Mix, error) {
	var m Mix
	sum := 0
	for part := range strings.SplitSeq(text, ",") {
		name, number, _ := strings.Cut(strings.TrimSpace(part), "=")
		kind := slices.Index(kindNames[:], name)
		n, err := strconv.Atoi(number)
		if kind < 0 || err != nil || n < 0 || m[kind] != 0 {
			return Mix{}, fmt.Errorf("%q is not one of %s with a percentage, as in like=80,liking_users=20", part, strings.Join(kindNames[:], ", "))
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
	var parts []string
	for kind, n := range m {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", kindNames[kind], n))
		}
	}
	return strings.Join(parts, ",")
}

// draw returns a kind, given a number from 0 to 99 of which each is as likely.
func (m Mix) draw(n int) int {
	for kind, share := range m {
		if n < share {
			return kind
		}
		n -= share
	}
	panic("bench: a mix of less than 100")
}

// Workload is what is called.
type Workload struct {
	Mix Mix

	// Zipf is how unequal the posts are: the exponent of the Zipf distribution from which they are drawn, above 1. Zero
	// makes each as likely as any other.
	Zipf float64

	// Hot calls about one post only, another in each turn, so that it has no likes when the turn begins.
	Hot bool

	// Page is how many a page has at most; 0 means 100.
	Page int

	// OAuth1 signs each request with OAuth 1.0a (RFC 5849), in place of a bearer token.
	OAuth1 bool
}

func (w Workload) String() string {
	text := w.Mix.String()
	switch {
	case w.Hot:
		text += ", one hot post"
	case w.Zipf > 0:
		text += fmt.Sprintf(", posts by Zipf's law with %g", w.Zipf)
	default:
		text += ", each post as likely"
	}
	if w.OAuth1 {
		text += ", signed with OAuth 1.0a"
	}
	return text
}

// requests makes the requests of a workload. Callers share it; each has a requester of its own.
type requests struct {
	Workload
	world World
	host  string
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
	if err != nil || u.Scheme != "http" || u.Port() == "" {
		return nil, fmt.Errorf("%q is not http://host:port; the benchmark speaks plain HTTP", base)
	}
	if w.OAuth1 && (len(world.Apps) == 0 || world.Apps[0].APIKey == "" || world.Users[0].OAuth1Token == "") {
		return nil, errors.New("the credentials have no keys for OAuth 1.0a")
	}
	r := &requests{Workload: w, world: world, host: u.Host, users: slices.Clone(world.Users), query: "max_results=100"}
	if w.Page > 0 {
		r.query = fmt.Sprintf("max_results=%d", w.Page)
	}
	random := rand.New(rand.NewPCG(1, 1))
	random.Shuffle(len(r.users), func(i, j int) { r.users[i], r.users[j] = r.users[j], r.users[i] })
	if w.OAuth1 {
		r.key = url.QueryEscape(world.Apps[0].APIKey)
		r.base = url.QueryEscape("http://" + u.Host)
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
	random *rand.Rand
	posts  func() int
	text   []byte // of the last request
	signed []byte // what was signed, likewise
}

func (r *requests) newRequester(turn int, random *rand.Rand) *requester {
	q := &requester{requests: r, random: random}
	n := len(r.world.Posts)
	switch {
	case r.Hot:
		q.posts = func() int { return turn % n }
	case r.Zipf > 0 && n > 1:
		zipf := rand.NewZipf(random, r.Zipf, 1, uint64(n-1))
		q.posts = func() int { return int(zipf.Uint64()) }
	default:
		q.posts = func() int { return random.IntN(n) }
	}
	return q
}

// make returns the bytes of the next request, which hold until the next call, and its kind.
func (q *requester) make() (kind int, text []byte) {
	kind = q.Mix.draw(q.random.IntN(100))
	user := int(q.next.Add(1) % uint64(len(q.users)))
	return kind, q.request(kind, user, q.world.Posts[q.posts()].ID)
}

// request returns the bytes of a request by one of users.
func (q *requester) request(kind, by int, post string) []byte {
	user := &q.users[by]
	method, before, id, after, query, body := "POST", "/2/users/", user.ID, "/likes", "", ""
	switch kind {
	case like:
		body = post
	case unlike:
		method, after = "DELETE", "/likes/"+post
	case likedTweets:
		method, after, query = "GET", "/liked_tweets", q.query
	case likingUsers:
		method, before, id, after, query = "GET", "/2/tweets/", post, "/liking_users", q.query
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

// sign appends the header of OAuth 1.0a with HMAC-SHA1 (RFC 5849, 3.4 and 3.5.1). The query needs no encoding of its own,
// and sorts before the parameters of the protocol.
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
	s = append(append(append(s, url.QueryEscape(path)...), '&'), url.QueryEscape(query)...)
	if query != "" {
		s = append(s, "%26"...)
	}
	s = append(append(append(s, q.parameters...), nonce[:]...), "%26oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D"...)
	s = append(append(append(append(s, at...), "%26oauth_token%3D"...), by.encodedToken...), "%26oauth_version%3D1.0"...)
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

// buildCost is what one request costs to make, the median of some.
func (r *requests) buildCost() time.Duration {
	q := r.newRequester(0, rand.New(rand.NewPCG(1, 2)))
	took := make([]time.Duration, 21)
	for i := range took {
		start := time.Now()
		for range 100 {
			q.make()
		}
		took[i] = time.Since(start) / 100
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// Fill writes n likes as records for `liked import`: each user likes as many posts as the others, each post is liked by as
// many users, and both lists are in no order of their ids. It fails if there are not as many pairs of a user and a post.
func (w World) Fill(ctx context.Context, out io.Writer, n int) error {
	users, posts := len(w.Users), len(w.Posts)
	if n < 1 || n > users*posts {
		return fmt.Errorf("likes: %d is not from 1 to %d, which is a like of each post by each user", n, users*posts)
	}
	random := rand.New(rand.NewPCG(1, 4))
	order, first := random.Perm(posts), random.Perm(users)
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	b := bufio.NewWriterSize(out, 1<<20)
	var line []byte
	for i := range n {
		if i%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		user := first[i%users]
		post := order[(i/users+user)%posts]
		line = append(append(line[:0], `{"type":"like","user_id":"`...), w.Users[user].ID...)
		line = append(append(append(line, `","post_id":"`...), w.Posts[post].ID...), `","at":"`...)
		line = at.Add(time.Duration(i/10)*time.Millisecond).AppendFormat(line, "2006-01-02T15:04:05.000Z")
		line = append(line, `","n":`...)
		line = append(strconv.AppendInt(line, int64(i%10), 10), "}\n"...)
		if _, err := b.Write(line); err != nil {
			return err
		}
	}
	return b.Flush()
}
