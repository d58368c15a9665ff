package liked

import (
	"errors"
	"fmt"
)

// Kind says what went wrong. Each wire format maps kinds to its own answers in one place.
type Kind uint8

const (
	Internal     Kind = iota // a fault of ours: logged whole, shown to the client as nothing but that
	Invalid                  // the input cannot be right
	Unauthorized             // the caller could not be identified
	Forbidden                // the caller is known and may not
	NotFound                 // the thing does not exist, or is hidden from every caller
	Conflict                 // the thing exists already, or was spent already
	Unavailable              // the server cannot do it now: shutting down, or the disk refuses writes
	Overloaded               // more is asked than can be done at once; a moment later the same call may succeed
)

func (k Kind) String() string { return name(kinds, k) }

var kinds = []string{"internal", "invalid", "unauthorized", "forbidden", "not found", "conflict", "unavailable", "overloaded"}

// Error is the only error with meaning across packages. Msg is for people and holds no secret; Err is for the log alone.
type Error struct {
	Kind Kind
	Msg  string
	Post PostID // which of several posts that a call named; zero where there is nothing to tell apart
	Err  error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Msg
	}
	return e.Msg + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of the kind with a message and no cause.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Msg: fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of the first Error in err's chain, Internal if there is none. err is not nil.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}
