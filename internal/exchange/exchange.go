// Package exchange is what one HTTP request and its answer were, for the operator: a log line and a metric. Each handler
// makes an [Exchange] with [New] when a request begins and gives it to its [Observer] once the answer is written.
package exchange

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"liked"
)

// Exchange is one request and its answer, as the operator sees it. It holds no secret.
type Exchange struct {
	Operation     string // which endpoint or page it was, "" for an unknown path or method
	Method        string
	TransactionID string // the x-transaction-id header of the answer
	Status        int
	Why           string // why the request was refused, or its stream ended by the server, "" if neither
	App           liked.AppID
	User          liked.UserID
	Start         time.Time
	Duration      time.Duration
	Bytes         int   // of the body of the answer
	Err           error // the cause of a 5xx
}

// New begins an exchange, which gets a transaction id of its own.
func New(operation, method string) Exchange {
	return Exchange{Operation: operation, Method: method, TransactionID: RandomHex(8), Start: time.Now()}
}

// Observer is called once for each request, after its answer. A nil Observer does nothing.
type Observer func(context.Context, Exchange)

// Done ends the exchange now and hands it to the observer.
func (o Observer) Done(ctx context.Context, x *Exchange) {
	x.Duration = time.Since(x.Start)
	if o != nil {
		o(ctx, *x)
	}
}

// RandomHex returns n random bytes, at most 32, in hexadecimal. They tell requests and connections apart and are no secret.
func RandomHex(n int) string {
	var b [32]byte
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], rand.Uint64())
	}
	return hex.EncodeToString(b[:n])
}

// maxHeaderText bounds a header of free text, in bytes: reasons may quote what was sent.
const maxHeaderText = 1024

// HeaderText makes text fit for a header: one line of printable ASCII.
func HeaderText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), maxHeaderText)])
}

// Panicked turns what recover returned into an error with the stack: nil if there was no panic. A handler that aborts its
// answer on purpose still does.
func Panicked(recovered any) error {
	switch recovered {
	case nil:
		return nil
	case http.ErrAbortHandler:
		panic(http.ErrAbortHandler)
	}
	return fmt.Errorf("panic: %v\n%s", recovered, debug.Stack())
}
