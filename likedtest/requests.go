package likedtest

import (
	"context"
	"net/url"
	"testing"

	"liked/internal/exchange"
	"liked/internal/journal"
)

// Request is a request to the server, or one that it made to a webhook, as the journal lists it.
type Request = journal.Row

// RequestDetail is a request with headers and bodies, the rate windows around it and what became of its signature.
type RequestDetail = journal.Detail

// Match says which requests are meant: those that have all that is set.
type Match = exchange.Match

// Expectation is what the journal should hold: Exactly, AtLeast or AtMost so many requests that Match means (without any of
// them: one), or requests InOrder.
type Expectation = journal.Expectation

// Exactly, for an Expectation.
func Exactly(n int) *int { return &n }

// Requests returns requests of the journal, the newest first, at most 1,000. The filter is a query, as
// "operation=usersIdLike&user=alice&status=4xx"; "" selects all.
func (s *Server) Requests(t testing.TB, filter string) []Request {
	t.Helper()
	query, err := url.ParseQuery(filter)
	if err != nil {
		t.Fatalf("likedtest: filter %q: %v", filter, err)
	}
	if !query.Has("limit") {
		query.Set("limit", "1000")
	}
	page, err := s.admin().Requests(context.Background(), query)
	failed(t, err)
	return page.Data
}

// Request returns a request with all that is kept of it. The transaction id is in the header x-transaction-id of its answer.
func (s *Server) Request(t testing.TB, transactionID string) RequestDetail {
	t.Helper()
	d, err := s.admin().Request(context.Background(), transactionID)
	failed(t, err)
	return d
}

// ClearRequests empties the journal.
func (s *Server) ClearRequests(t testing.TB) {
	t.Helper()
	failed(t, s.admin().ClearRequests(context.Background()))
}

// Verify fails the test unless the journal is as expected, with what was found and what nearly was.
//
//	srv.Verify(t, likedtest.Expectation{Match: &likedtest.Match{Operation: "usersIdLike", User: "alice"}, Exactly: likedtest.Exactly(1)})
func (s *Server) Verify(t testing.TB, e Expectation) {
	t.Helper()
	v, err := s.admin().Verify(context.Background(), e)
	failed(t, err)
	if v.Refused() {
		t.Errorf("likedtest: verify: %s", v)
	}
}

// maxPrinted bounds what a failed test prints.
const maxPrinted = 50

// printRefusals logs the requests that were refused, the oldest first.
func (s *Server) printRefusals(t testing.TB) {
	var refused []Request // the newest first, as in the journal: their times are all the same while the clock is frozen
	for query := (url.Values{"limit": {"1000"}}); ; {
		page, err := s.admin().Requests(context.Background(), query)
		if err != nil { // without a journal
			return
		}
		for _, r := range page.Data {
			if r.Status >= 400 {
				refused = append(refused, r)
			}
		}
		if page.Next == "" {
			break
		}
		query.Set("after", page.Next)
	}
	printed := refused[:min(len(refused), maxPrinted)]
	for i := len(printed) - 1; i >= 0; i-- {
		t.Logf("likedtest: refused: %s", printed[i])
	}
	if n := len(refused) - len(printed); n > 0 {
		t.Logf("likedtest: and %d refused before these", n)
	}
}
