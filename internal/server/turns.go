package server

import (
	"context"
	"net/http"
	"strings"

	"liked"
	"liked/internal/console"
	"liked/internal/home"
)

// Of requests without a credential a connection in HTTP/2 has so many answered at a time, while so many wait. A page has
// five under way at most.
const (
	maxTurns  = 1
	maxQueued = 5
)

type turnsKey struct{}

// turns holds an entry for each request of a connection that is being answered, and for each that is answered or waits.
type turns struct{ answered, begun chan struct{} }

// withTurns gives a connection its turns.
func withTurns(ctx context.Context) context.Context {
	return context.WithValue(ctx, turnsKey{}, turns{make(chan struct{}, maxTurns), make(chan struct{}, maxTurns+maxQueued)})
}

// inTurn has requests that need no credential wait while others of their connection are being answered, and refuses more than
// may wait. A client that reads nothing may have as many requests under way as one that reads, and an answer that waits holds
// its page and a deep stack; a request that waits holds its headers and buffers. API calls have a credential and never wait here.
func (s *Server) inTurn(next http.Handler) http.Handler {
	tooMany := liked.Errorf(liked.Overloaded, "this connection has %d requests without a credential under way already", maxTurns+maxQueued)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor < 2 || r.Method != http.MethodGet && r.Method != http.MethodHead || r.Header["Authorization"] != nil ||
			strings.Contains(r.URL.RawQuery, "oauth_signature") {
			next.ServeHTTP(w, r)
			return
		}
		turns := r.Context().Value(turnsKey{}).(turns)
		select {
		case turns.begun <- struct{}{}:
			defer func() { <-turns.begun }()
		default:
			s.current().x.Refuse(bodyless{w}, r, tooMany)
			return
		}
		if r.URL.Path == home.LivePath || r.URL.Path == console.LivePath { // it never ends
			next.ServeHTTP(w, r)
			return
		}
		select {
		case turns.answered <- struct{}{}:
			defer func() { <-turns.answered }()
		case <-r.Context().Done(): // the answer goes nowhere; the request is logged like any other
		}
		next.ServeHTTP(w, r)
		_ = http.NewResponseController(w).Flush() // a small answer would wait for its reader after its turn; an error: there is none
	})
}

// bodyless leaves out the body: one that the client does not read would hold the request, which headers do not.
type bodyless struct{ http.ResponseWriter }

func (w bodyless) WriteHeader(status int) {
	w.Header().Del("Content-Length")
	w.Header().Del("Content-Type")
	w.ResponseWriter.WriteHeader(status)
}

func (bodyless) Write(b []byte) (int, error) { return len(b), nil }
