package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func world(users, posts int) World {
	w := World{URL: "http://127.0.0.1:8080"}
	text := `{"apps":[{"api_key":"key","api_secret":"sec+ret"}]}`
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		panic(err)
	}
	for i := range users {
		w.Users = append(w.Users, User{fmt.Sprint(1000 + i), fmt.Sprintf("token%d", i), fmt.Sprintf("%d-oauth", i), fmt.Sprintf("secret%d", i)})
	}
	for i := range posts {
		w.Posts = append(w.Posts, struct {
			ID string `json:"id"`
		}{fmt.Sprint(5000 + i)})
	}
	return w
}

func newTestRequester(t *testing.T, w World, load Workload, turn int) *requester {
	t.Helper()
	r, err := newRequests(w, w.URL, load)
	if err != nil {
		t.Fatal(err)
	}
	return r.newRequester(turn, rand.New(rand.NewPCG(1, 2)))
}

// parse reads a request as a server does.
func parse(t *testing.T, text []byte) (r *http.Request, body string) {
	t.Helper()
	in := bufio.NewReader(bytes.NewReader(text))
	r, err := http.ReadRequest(in)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	b, err := io.ReadAll(r.Body)
	if err != nil || in.Buffered() > 0 {
		t.Fatalf("%q: %d bytes too many, %v", text, in.Buffered(), err)
	}
	return r, string(b)
}

func TestMixIsRespected(t *testing.T) {
	mix, err := ParseMix("like=45, unlike=5,liked_tweets=10,liking_users=30,count=10")
	if err != nil {
		t.Fatal(err)
	}
	q := newTestRequester(t, world(50, 50), Workload{Mix: mix, Page: 20}, 1)
	patterns := [kinds]*regexp.Regexp{
		regexp.MustCompile(`^POST /2/users/1\d{3}/likes \{"tweet_id":"5\d{3}"\}$`),
		regexp.MustCompile(`^DELETE /2/users/1\d{3}/likes/5\d{3} $`),
		regexp.MustCompile(`^GET /2/users/1\d{3}/liked_tweets\?max_results=20 $`),
		regexp.MustCompile(`^GET /2/tweets/5\d{3}/liking_users\?max_results=20 $`),
		regexp.MustCompile(`^GET /2/tweets/5\d{3}\?tweet.fields=public_metrics $`),
	}
	const n = 20_000
	var seen [kinds]int
	for range n {
		kind, text := q.make()
		seen[kind]++
		r, body := parse(t, text)
		if got := r.Method + " " + r.URL.String() + " " + body; !patterns[kind].MatchString(got) {
			t.Fatalf("%s is %s", kindNames[kind], got)
		}
		if id := r.PathValue("id"); id != "" || r.Host != "127.0.0.1:8080" || !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer token") {
			t.Fatalf("%s", text)
		}
	}
	for kind, share := range mix {
		if got, want := float64(seen[kind]), n*float64(share)/100; math.Abs(got-want) > 6*math.Sqrt(want) {
			t.Errorf("%.0f of %d are %s, want about %.0f", got, n, kindNames[kind], want)
		}
	}
}

func TestParseMixRefuses(t *testing.T) {
	for _, text := range []string{
		"", "like", "like=99", "like=60,unlike=60", "like=50,like=50", "love=100", "like=-1,unlike=101", "like=100,",
	} {
		if m, err := ParseMix(text); err == nil {
			t.Errorf("%q is %v", text, m)
		}
	}
	m, err := ParseMix("unlike=40,like=60")
	if err != nil || m.String() != "like=60,unlike=40" {
		t.Errorf("%v, %v", m, err)
	}
}

// A feed is fifty reads to a like, half of them of either list.
func TestFeed(t *testing.T) {
	mix, err := ParseMix("feed")
	if err != nil {
		t.Fatal(err)
	}
	load := Workload{Mix: mix, Page: FeedPage, Zipf: 1.1, ReadZipf: 1.3}
	q := newTestRequester(t, world(50, 50), load, 1)
	const n = 51_000
	var seen [kinds]float64
	for range n {
		kind, _ := q.make()
		seen[kind]++
	}
	for kind, want := range [kinds]float64{like: n / 51, likedTweets: n * 25. / 51, likingUsers: n * 25. / 51} {
		if math.Abs(seen[kind]-want) > 6*math.Sqrt(want) {
			t.Errorf("%.0f of %d are %s, want about %.0f", seen[kind], n, kindNames[kind], want)
		}
	}
	for _, row := range []struct {
		load Workload
		want string
	}{
		{load, "feed, posts by Zipf's law with 1.1, reads by Zipf's law with 1.3, pages of 20"},
		{Workload{Mix: Likes}, "like=100, each post as likely"},
		{Workload{Mix: Pages, ReadZipf: 1.1}, "liked_tweets=50,liking_users=50, reads by Zipf's law with 1.1, pages of 100"},
		{Workload{Mix: somePages, Hot: true, OAuth1: true},
			"like=99,liked_tweets=0.5,liking_users=0.5, one hot post, pages of 100, signed with OAuth 1.0a"},
	} {
		if got := row.load.String(); got != row.want {
			t.Errorf("%q, want %q", got, row.want)
		}
	}
}

// The token is that of the user in the path, users take turns, and likes of one post are by different users until all
// have liked it.
func TestUsersTakeTurns(t *testing.T) {
	w := world(100, 10)
	q := newTestRequester(t, w, Workload{Mix: Likes, Hot: true}, 3)
	seen := make(map[string]bool)
	for range 100 {
		_, text := q.make()
		r, body := parse(t, text)
		id := strings.Split(r.URL.Path, "/")[3]
		i := slices.IndexFunc(w.Users, func(u User) bool { return u.ID == id })
		if i < 0 || r.Header.Get("Authorization") != "Bearer "+w.Users[i].AccessToken {
			t.Fatalf("%s", text)
		}
		if body != `{"tweet_id":"5003"}` {
			t.Fatalf("the hot post of turn 3 is in %s", body)
		}
		seen[id] = true
	}
	if len(seen) != 100 {
		t.Errorf("100 calls were by %d users", len(seen))
	}
	if _, text := newTestRequester(t, w, Workload{Mix: Likes, Hot: true}, 4).make(); !bytes.HasSuffix(text, []byte(`"5004"}`)) {
		t.Errorf("the hot post of turn 4 is in %s", text)
	}
}

// The k-th post gets a share of 1/k^s of all, by Zipf's law.
func TestPostsFollowZipfsLaw(t *testing.T) {
	const posts, n = 1000, 200_000
	for _, s := range []float64{1.1, 2} {
		// What is liked and what is read have laws of their own.
		writes := newTestRequester(t, world(posts, posts), Workload{Mix: Likes, Zipf: s, ReadZipf: 3}, 1)
		reads := newTestRequester(t, world(posts, posts), Workload{Mix: Pages, Zipf: 3, ReadZipf: s}, 1)
		for what, draw := range map[string]func() int{"liked": writes.posts, "read": reads.readPosts, "a user": reads.readUsers} {
			seen := make([]float64, posts)
			for range n {
				seen[draw()]++
			}
			all := 0.0
			for k := 1; k <= posts; k++ {
				all += math.Pow(float64(k), -s)
			}
			for _, k := range []int{1, 2, 3, 10, 30} {
				want := n * math.Pow(float64(k), -s) / all
				if got := seen[k-1]; math.Abs(got-want) > 6*math.Sqrt(want) {
					t.Errorf("s=%g, %s: %d was drawn %.0f times, want about %.0f", s, what, k, got, want)
				}
			}
		}
	}
	q := newTestRequester(t, world(1, posts), Workload{Mix: Likes}, 1)
	seen := make([]float64, posts)
	for range n {
		seen[q.posts()]++
	}
	if low, high := slices.Min(seen), slices.Max(seen); low < 100 || high > 300 {
		t.Errorf("spread: a post was drawn %.0f times, another %.0f, want about 200", low, high)
	}
}

// The signature is that of RFC 5849, worked out here by the book: all parameters encoded, sorted and joined.
func TestSignature(t *testing.T) {
	w := world(3, 3)
	mix := Mix{like: 20, unlike: 20, likedTweets: 20, likingUsers: 20, count: 20}
	q := newTestRequester(t, w, Workload{Mix: mix, OAuth1: true}, 1)
	nonces := make(map[string]bool)
	for range 100 {
		_, text := q.make()
		r, _ := parse(t, text)
		header, ok := strings.CutPrefix(r.Header.Get("Authorization"), "OAuth ")
		if !ok {
			t.Fatalf("%s", text)
		}
		var parameters []string
		given, token := "", ""
		for part := range strings.SplitSeq(header, ", ") {
			name, value, _ := strings.Cut(part, "=")
			value = strings.Trim(value, `"`)
			switch name {
			case "oauth_signature":
				given, _ = url.QueryUnescape(value)
				continue
			case "oauth_token":
				token = value
			case "oauth_nonce":
				nonces[value] = true
			}
			parameters = append(parameters, name+"="+value)
		}
		if r.URL.RawQuery != "" {
			parameters = append(parameters, r.URL.RawQuery)
		}
		slices.Sort(parameters)
		base := r.Method + "&" + url.QueryEscape("http://"+r.Host+r.URL.Path) + "&" + url.QueryEscape(strings.Join(parameters, "&"))
		i := slices.IndexFunc(w.Users, func(u User) bool { return u.OAuth1Token == token })
		if i < 0 {
			t.Fatalf("no user has the token of %s", header)
		}
		mac := hmac.New(sha1.New, []byte("sec%2Bret&"+w.Users[i].OAuth1TokenSecret))
		mac.Write([]byte(base))
		if want := base64.StdEncoding.EncodeToString(mac.Sum(nil)); given != want || len(parameters) < 6 {
			t.Fatalf("%s is signed %s, want %s", base, given, want)
		}
	}
	if len(nonces) != 100 {
		t.Errorf("%d nonces for 100 requests", len(nonces))
	}
}

func TestWorkloadsThatCannotBe(t *testing.T) {
	w := world(1, 1)
	for name, base := range map[string]string{"scheme": "https://127.0.0.1:8080", "port": "http://127.0.0.1", "url": "::"} {
		if _, err := newRequests(w, base, Workload{Mix: Likes}); err == nil {
			t.Errorf("%s: %s is accepted", name, base)
		}
	}
	w.Apps = nil
	if _, err := newRequests(w, w.URL, Workload{Mix: Likes, OAuth1: true}); err == nil {
		t.Error("OAuth 1.0a without keys is accepted")
	}
}

func TestFillMakesEachLikeOnce(t *testing.T) {
	w := world(20, 30)
	var out bytes.Buffer
	if err := w.Fill(t.Context(), &out, 300); err != nil {
		t.Fatal(err)
	}
	pairs := make(map[[2]string]bool)
	byUser, byPost := make(map[string]int), make(map[string]int)
	for line := range strings.Lines(out.String()) {
		var l struct {
			Type, At string
			UserID   string `json:"user_id"`
			PostID   string `json:"post_id"`
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Type != "like" {
			t.Fatalf("%s: %v", line, err)
		}
		pairs[[2]string{l.UserID, l.PostID}] = true
		byUser[l.UserID]++
		byPost[l.PostID]++
	}
	if len(pairs) != 300 || len(byUser) != 20 || len(byPost) != 30 {
		t.Errorf("%d pairs of %d users and %d posts", len(pairs), len(byUser), len(byPost))
	}
	for id, n := range byUser {
		if n != 15 {
			t.Errorf("user %s likes %d", id, n)
		}
	}
	for _, n := range []int{0, -1, 601} {
		if err := w.Fill(t.Context(), io.Discard, n); err == nil {
			t.Errorf("%d likes of 600 pairs", n)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Fill(ctx, io.Discard, 600); err == nil {
		t.Error("it goes on after its context has ended")
	}
}
