package play

import (
	"errors"
	"fmt"
)

// A Kind says what sort of trouble an Error is; it decides the HTTP status and whether to try again.
type Kind string

const (
	Invalid     Kind = "invalid"     // the request is wrong; the same request will fail again
	NotFound    Kind = "not_found"   // no such thing, or none that this viewer may see
	Denied      Kind = "denied"      // this viewer may not do that
	Conflict    Kind = "conflict"    // someone else changed it first
	Limited     Kind = "limited"     // a stated limit was reached
	Unavailable Kind = "unavailable" // a part of the system is down; trying later may help
	Internal    Kind = "internal"    // our fault
)

// Error is a failure with words for people. Msg is safe to show; Err is for the log and never shown.
type Error struct {
	Kind Kind
	Msg  string // a sentence: what happened and what to do next
	At   *Place // where in the input, if there is a place
	Err  error
}

// Errorf makes an Error whose Msg is safe to show to anyone.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Msg: fmt.Sprintf(format, args...)}
}

// Because adds the cause, which goes to the log and is never shown.
func (e *Error) Because(err error) *Error {
	e.Err = err
	return e
}

// In adds the place in the input.
func (e *Error) In(at Place) *Error {
	e.At = &at
	return e
}

func (e *Error) Error() string {
	s := e.Msg
	if e.At != nil {
		s = e.At.String() + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf is the kind of the first Error in err's chain, or Internal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}
