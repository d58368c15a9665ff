package server

import (
	"context"
	"net/http"
	"strings"

	"liked/internal/home"
)

// maxTurns is how many requests without a credential a connection in HTTP/2 has answered at a time.
const maxTurns = 4

type turnsKey struct{}

// withTurns gives a connection its turns.
func withTurns(ctx context.Context) context.Context {
	return context.WithValue(ctx, turnsKey{}, make(chan struct{}, maxTurns))
}

// inTurn has requests that need no credential wait while others of their connection are being answered. A client that reads
// nothing may have as many requests under way as one that reads, and an answer that waits holds its page and a deep stack;
// a request that waits holds little. API calls have a credential and never wait here.
func inTurn(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor < 2 || r.Method != http.MethodGet && r.Method != http.MethodHead || r.Header["Authorization"] != nil ||
			strings.Contains(r.URL.RawQuery, "oauth_signature") || r.URL.Path == home.LivePath { // which never ends
			next.ServeHTTP(w, r)
			return
		}
		turns := r.Context().Value(turnsKey{}).(chan struct{})
		select {
		case turns <- struct{}{}:
			defer func() { <-turns }()
		case <-r.Context().Done(): // the answer goes nowhere; the request is logged like any other
		}
		next.ServeHTTP(w, r)
	})
}
