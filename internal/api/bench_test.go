package api_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
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
	au := auth.New(auth.Options{Store: st, Now: time.Now, Rand: rand.Reader,
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
	limits, err := api.ParseLimits([]byte(`{"usersIdLike":{"user_15m":1000000000,"user_24h":1000000000}}`))
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
