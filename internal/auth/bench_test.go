package auth_test

import (
	"fmt"
	"net/http"
	"testing"

	"liked"
)

func BenchmarkAuthenticateBearer(b *testing.B) {
	w := newWorld(b)
	r := newRequest(b, "GET", w.url+"/2/users/me", "")
	r.Header.Set("Authorization", "Bearer "+w.issue(b, liked.AllScopes).AccessToken)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.auth.Authenticate(r); err != nil {
			b.Fatal(err)
		}
	}
}

// Each request is another one. Making them is not measured.
func BenchmarkAuthenticateOAuth1(b *testing.B) {
	w := newWorld(b)
	client := docsClient()
	target := w.url + "/2/users/370773112/likes"
	var requests []*http.Request
	made := 0
	b.ReportAllocs()
	for b.Loop() {
		if len(requests) == 0 {
			b.StopTimer()
			for range 10_000 {
				made++
				client.Nonce = fmt.Sprintf("%032d", made)
				r := newRequest(b, "POST", target, "")
				r.Host = r.URL.Host
				r.Header.Set("Authorization", client.Header(b, "POST", target, ""))
				requests = append(requests, r)
			}
			b.StartTimer()
		}
		r := requests[0]
		requests = requests[1:]
		if _, err := w.auth.Authenticate(r); err != nil {
			b.Fatal(err)
		}
	}
}
