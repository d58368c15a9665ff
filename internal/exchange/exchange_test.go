package exchange_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"liked/internal/exchange"
)

func TestTransactionIDs(t *testing.T) {
	hex := regexp.MustCompile(`^[0-9a-f]{16}$`)
	seen := map[string]bool{}
	for range 1000 {
		id := exchange.New("", httptest.NewRequest("GET", "/", nil)).TransactionID
		if !hex.MatchString(id) || seen[id] {
			t.Fatalf("transaction id %q is not 16 new hex digits", id)
		}
		seen[id] = true
	}
	if id := exchange.RandomHex(32); len(id) != 64 || strings.HasSuffix(id, "0000000000000000") {
		t.Errorf("32 random bytes are %q", id)
	}
}

func TestHeaderText(t *testing.T) {
	for text, want := range map[string]string{
		"no \"such\" app":           "no \"such\" app",
		"a\r\nb\x00c\x7fä":          "a??b?c??",
		strings.Repeat("x", 10_000): strings.Repeat("x", 1024),
	} {
		if got := exchange.HeaderText(text); got != want {
			t.Errorf("%.20q became %.40q", text, got)
		}
	}
}

func TestObserver(t *testing.T) {
	x := exchange.New("oauth2Token", httptest.NewRequest("POST", "/", nil))
	exchange.Observer(nil).Done(nil, &x)
	var seen exchange.Exchange
	exchange.Observer(func(_ *http.Request, x exchange.Exchange) { seen = x }).Done(nil, &x)
	if seen != x || seen.Operation != "oauth2Token" || seen.Duration <= 0 {
		t.Errorf("observed %+v of %+v", seen, x)
	}
}

func TestPanicked(t *testing.T) {
	recovered := func(v any) (err error) {
		defer func() { err = exchange.Panicked(recover()) }()
		if v != nil {
			panic(v)
		}
		return nil
	}
	if err := recovered(nil); err != nil {
		t.Errorf("without a panic: %v", err)
	}
	if err := recovered(errors.New("boom")); err == nil || !strings.Contains(err.Error(), "boom") ||
		!strings.Contains(err.Error(), "exchange_test.go") {
		t.Errorf("a panic became %v, which does not say where", err)
	}
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("an aborted answer went on with %v", v)
		}
	}()
	_ = recovered(http.ErrAbortHandler)
}
