// Package exchange describes an HTTP request and its answer for the operator's log and metrics. Each handler makes an
// [Exchange] with [New] when a request begins and passes it to its [Observer] once the answer is written. A [Match] says
// which exchanges are meant.
package exchange

import (
	"bytes"
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

// Exchange is one request and its answer. It holds no secret.
type Exchange struct {
	Operation     string // endpoint or page; "" for an unknown path or method
	Method        string
	TransactionID string // the answer's x-transaction-id header
	Status        int
	Why           string // why the request was refused or the server ended its stream; "" if neither
	App           liked.AppID
	User          liked.UserID
	Start         time.Time
	Duration      time.Duration
	Bytes         int   // of the answer's body
	Err           error // the cause of a 5xx

	Credential liked.Credential // with which the caller was identified; zero: it was not
	Details    *Details         // for the journal; nil without one
}

// New begins an exchange with a new transaction id.
func New(operation string, r *http.Request) Exchange {
	return Exchange{Operation: operation, Method: r.Method, TransactionID: RandomHex(8), Start: time.Now(), Details: DetailsOf(r.Context())}
}

// Observer is called once per request, after its answer. It must not keep the request. A nil Observer does nothing.
type Observer func(*http.Request, Exchange)

// Done sets the duration and calls the observer.
func (o Observer) Done(r *http.Request, x *Exchange) {
	x.Duration = time.Since(x.Start)
	x.Begun()
	if o != nil {
		o(r, *x)
	}
}

// RandomHex returns n random bytes, at most 32, in hexadecimal: an id of a request or connection, not a secret.
func RandomHex(n int) string {
	var b [32]byte
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], rand.Uint64())
	}
	return hex.EncodeToString(b[:n])
}

// maxHeaderText bounds a free-text header, in bytes: reasons may quote the request.
const maxHeaderText = 1024

// HeaderText makes s fit for a header: one line of printable ASCII, of bounded length.
func HeaderText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), maxHeaderText)])
}

// BodyForm says why a body that should be UTF-8 cannot be read as it stands: it is encoded, or has a byte order mark.
// It returns "" for any other.
func BodyForm(h http.Header, body []byte) string {
	coding := h.Get("Content-Encoding")
	switch {
	case coding != "" && !strings.EqualFold(coding, "identity"):
		return "the body has the Content-Encoding " + coding + ", which this server does not decode: send it as it is"
	case bytes.HasPrefix(body, []byte("\xef\xbb\xbf")):
		return "the body begins with a byte order mark (EF BB BF), which neither JSON (RFC 8259, 8.1) nor a form may have: send it without"
	case len(body) > 1 && (body[0] == 0 || body[1] == 0 || body[0] >= 0xfe && body[1] >= 0xfe):
		return "the body is UTF-16 or UTF-32; JSON is UTF-8 (RFC 8259, 8.1)"
	}
	return ""
}

// Panicked returns a recovered panic as an error with its stack, nil for none. It panics again on http.ErrAbortHandler.
func Panicked(recovered any) error {
	switch recovered {
	case nil:
		return nil
	case http.ErrAbortHandler:
		panic(http.ErrAbortHandler)
	}
	return fmt.Errorf("panic: %v\n%s", recovered, debug.Stack())
}
