package liked

import (
	"errors"
	"fmt"
)

// Kind says what went wrong. Each wire format maps kinds to status codes in one place.
type Kind uint8

const (
	Internal     Kind = iota // a server fault: logged in full, no detail for the client
	Invalid                  // the input cannot be right
	Unauthorized             // the caller could not be identified
	Forbidden                // the caller lacks permission
	NotFound                 // missing, or hidden from every caller
	Conflict                 // exists, or was spent, already
	Unavailable              // not now: shutting down, or the disk refuses writes
	Overloaded               // too much at once; a retry may soon succeed
)

func (k Kind) String() string { return name(kinds, k) }

var kinds = []string{"internal", "invalid", "unauthorized", "forbidden", "not found", "conflict", "unavailable", "overloaded"}

// Error is the only error with meaning across packages. Msg is for clients and holds no secret; Err is only logged.
type Error struct {
	Kind Kind
	Msg  string
	Post PostID // the one that failed, if a call named several; else zero
	Err  error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Msg
	}
	return e.Msg + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an Error without a cause.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Msg: fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of the first Error in the chain of err, which is not nil; else Internal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}
