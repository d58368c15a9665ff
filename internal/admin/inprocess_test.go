package admin_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"liked/internal/admin"
)

// A response keeps the header that it began with, whatever the handler does with its own and with the values in it.
func TestInProcessHeader(t *testing.T) {
	t.Parallel()
	const key = "X-Transaction-Id"
	for _, begin := range []func(http.ResponseWriter){
		func(w http.ResponseWriter) { w.WriteHeader(http.StatusAccepted) },
		func(w http.ResponseWriter) { _, _ = io.WriteString(w, "begun") },
	} {
		resp, err := admin.InProcess{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			values := []string{"mine"}
			w.Header()[key] = values
			begin(w)
			values[0] = "another request's"
			w.Header().Set("Late", "yes")
		})}.RoundTrip(httptest.NewRequest("GET", "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get(key); got != "mine" || resp.Header.Get("Late") != "" {
			t.Errorf("the header is %v", resp.Header)
		}
	}
}
