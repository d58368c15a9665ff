package api_test

import (
	"bytes"
	"context"
	cryptorand "crypto/rand"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"liked"
	"liked/internal/api"
	"liked/internal/auth"
	"liked/internal/store"
	"liked/internal/store/pebblestore"
)

// BenchmarkLike is a like in our own code, from the request that net/http has parsed to the answer that it is handed:
// authentication, limits kept in the store, validation, and a store that syncs to disk.
func BenchmarkLike(b *testing.B) {
	for _, callers := range []int{1, 32, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			h, tokens := benchServer(b, callers)
			b.ReportAllocs()
			b.ResetTimer()
			perCaller := b.N/callers + 1
			done := make(chan struct{})
			for i := range callers {
				go func() {
					defer func() { done <- struct{}{} }()
					body := fmt.Appendf(nil, `{"tweet_id":"%d"}`, 1)
					reader := bytes.NewReader(body)
					r := httptest.NewRequest("POST", fmt.Sprintf("/2/users/%d/likes", i+1), reader)
					r.Header.Set("Authorization", tokens[i])
					r.Header.Set("Content-Type", "application/json")
					w := &discard{header: http.Header{}}
					for n := range perCaller {
						reader.Reset(fmt.Appendf(body[:0], `{"tweet_id":"%d"}`, 1+n%benchPosts))
						r.Body, r.ContentLength = io.NopCloser(reader), int64(reader.Len())
						clear(w.header)
						h.ServeHTTP(w, r)
						if w.status != 200 {
							b.Errorf("status %d", w.status)
							return
						}
					}
				}()
			}
			for range callers {
				<-done
			}
		})
	}
}

// BenchmarkHandler is what a like costs around the store: one that takes no time.
func BenchmarkHandler(b *testing.B) {
	const callers = 256
	st, err := pebblestore.Open(pebblestore.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { st.Close() })
	h, tokens := benchAPI(b, atOnce{st}, callers)
	body := strings.NewReader("")
	const text = `{"tweet_id":"1346889436626259968"}`
	requests := make([]*http.Request, callers)
	for i := range requests {
		r := httptest.NewRequest("POST", fmt.Sprintf("/2/users/%d/likes", i+1), body)
		r.Header.Set("Authorization", tokens[i])
		r.Header.Set("Content-Type", "application/json")
		r.Body, r.ContentLength = io.NopCloser(body), int64(len(text))
		requests[i] = r
	}
	w := &discard{header: http.Header{}}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		body.Reset(text)
		r := *requests[n%callers] // which the handlers may change
		clear(w.header)
		if h.ServeHTTP(w, &r); w.status != 200 {
			b.Fatalf("status %d", w.status)
		}
		n++
	}
}

// atOnce is a store that takes likes for granted.
type atOnce struct{ store.Store }

func (atOnce) SetLike(context.Context, liked.UserID, liked.PostID, bool, time.Time) (bool, error) {
	return true, nil
}

// BenchmarkPages is what reads cost, from the request that net/http has parsed to the answer: pages of 100 likers and of 100
// liked posts of anybody, and fifty pages of 20, Zipf's hot ones, to one like.
func BenchmarkPages(b *testing.B) {
	const people, each = 2000, 100
	h, tokens := benchServer(b, people)
	body := strings.NewReader("")
	request := func(method, path string, i int) *http.Request {
		r := httptest.NewRequest(method, path, body)
		r.Header.Set("Authorization", tokens[i%people])
		r.Header.Set("Content-Type", "application/json")
		return r
	}
	w := &discard{header: http.Header{}}
	serve := func(r *http.Request, text string) {
		body.Reset(text)
		r.Body, r.ContentLength = io.NopCloser(body), int64(len(text))
		clear(w.header)
		if h.ServeHTTP(w, r); w.status != 200 {
			b.Fatalf("%s %s: status %d", r.Method, r.URL, w.status)
		}
	}
	var callers sync.WaitGroup
	for i := range 256 {
		callers.Go(func() {
			w := &discard{header: http.Header{}}
			for user := i; user < people; user += 256 {
				for n := range each {
					post := (user*7919+n*n*31)%people + 1
					if n%2 == 0 { // so that lists are of about a hundred, and a hundred likes of each user are of different posts
						post = (user+n)%people + 1
					}
					r := httptest.NewRequest("POST", fmt.Sprintf("/2/users/%d/likes", user+1), strings.NewReader(fmt.Sprintf(`{"tweet_id":"%d"}`, post)))
					r.Header.Set("Authorization", tokens[user])
					r.Header.Set("Content-Type", "application/json")
					clear(w.header)
					h.ServeHTTP(w, r)
				}
			}
		})
	}
	callers.Wait()
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 1, people-1)
	var likers, liked, hot []*http.Request
	for i := range people {
		likers = append(likers, request("GET", fmt.Sprintf("/2/tweets/%d/liking_users?max_results=100", i+1), i))
		liked = append(liked, request("GET", fmt.Sprintf("/2/users/%d/liked_tweets?max_results=100", i+1), i+7))
		hot = append(hot, request("GET", fmt.Sprintf("/2/tweets/%d/liking_users?max_results=20", zipf.Uint64()+1), i),
			request("GET", fmt.Sprintf("/2/users/%d/liked_tweets?max_results=20", zipf.Uint64()+1), i+7))
	}
	like := request("POST", "/2/users/1/likes", 0)
	for _, bench := range []struct {
		name  string
		serve func(i int)
	}{
		{"likers", func(i int) { serve(likers[i*7919%people], "") }},
		{"liked", func(i int) { serve(liked[i*7919%people], "") }},
		{"feed", func(i int) {
			if i%51 == 50 {
				serve(like, fmt.Sprintf(`{"tweet_id":"%d"}`, 1+i/51%benchPosts))
				return
			}
			serve(hot[i%len(hot)], "")
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			before := processorTime(b)
			n := 0
			for b.Loop() {
				bench.serve(n)
				n++
			}
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/call")
		})
	}
}

// processorTime is what this process has used so far.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

const benchPosts = 5000

func benchServer(b testing.TB, users int) (http.Handler, []string) {
	st, err := pebblestore.Open(pebblestore.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { st.Close() })
	h, tokens := benchAPI(b, st, users)
	sem := make(chan struct{}, 256)
	for i := range benchPosts {
		sem <- struct{}{}
		go func() {
			p := liked.Post{ID: liked.PostID(i + 1), Author: 1, Text: "post", CreatedAt: time.Now()}
			if err := st.AddPost(context.Background(), p); err != nil {
				b.Error(err)
			}
			<-sem
		}()
	}
	for range cap(sem) {
		sem <- struct{}{}
	}
	return h, tokens
}

// benchAPI returns an API over the store, and the Authorization headers of users whom it adds.
func benchAPI(b testing.TB, st store.Store, users int) (http.Handler, []string) {
	must := func(err error) {
		if err != nil {
			b.Error(err)
		}
	}
	ctx := context.Background()
	au := auth.New(auth.Options{Store: st, Now: time.Now, Rand: cryptorand.Reader,
		BaseURL: func(r *http.Request) string { return "http://" + r.Host }})
	app, _, err := au.NewApp(ctx, liked.App{Name: "bench"})
	must(err)
	tokens := make([]string, users)
	for i := range tokens {
		id := liked.UserID(i + 1)
		must(st.AddUser(ctx, liked.User{ID: id, Username: fmt.Sprintf("user%d", id), Name: "User", CreatedAt: time.Now()}))
		t, err := au.IssueTokens(ctx, app.ID, id, liked.AllScopes, 0)
		must(err)
		tokens[i] = "Bearer " + t.AccessToken
	}
	limits, err := api.ParseLimits([]byte(`{"usersIdLike":{"user_15m":1000000000,"user_24h":1000000000},
		"tweetsIdLikingUsers":{"user_15m":1000000000},"usersIdLikedTweets":{"user_15m":1000000000}}`))
	must(err)
	o := api.Options{Store: st, Auth: au, Limits: limits, Now: time.Now, PageKey: [32]byte{1}}
	o.Hooks = newHooks(st, au, o)
	x, err := api.New(o)
	must(err)
	return x, tokens
}

// discard is a ResponseWriter that costs nothing.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
