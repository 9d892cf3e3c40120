// Package fault is the vocabulary of errors that the domain may show to its callers. A fault says what kind of
// mistake it is and, for bad input, which field is wrong and why. It knows nothing of gRPC or HTTP: the one table
// that maps kinds to codes is in internal/serve. Every other error is internal: its text is logged, never shown.
package fault

import (
	"errors"
	"fmt"
)

// Kind tells what the caller can do about a fault.
type Kind int

const (
	// Internal is every error that is not a fault: nothing the caller could mend.
	Internal Kind = iota
	// Invalid input: the request can never succeed as it is.
	Invalid
	// NotFound: the named thing does not exist, or not for this caller.
	NotFound
	// Precondition: the request is right, the state of the thing is not.
	Precondition
	// Unauthenticated: nothing proves who calls.
	Unauthenticated
	// Forbidden: who calls may not do this.
	Forbidden
	// Unavailable: try again later; nothing is known to have happened.
	Unavailable
)

// Error is a fault. Its text is for the caller: it must hold no secret.
type Error struct {
	Kind Kind
	// Field names the request field that is wrong, as the contract spells it; only of Invalid.
	Field string
	// Reason is what is wrong, in words for the caller.
	Reason string
}

// Error gives the text that the caller sees: "field: reason", or the reason alone.
func (e *Error) Error() string {
	if e.Field == "" {
		return e.Reason
	}
	return e.Field + ": " + e.Reason
}

// InvalidField makes an Invalid fault of one request field.
func InvalidField(field, format string, args ...any) error {
	return &Error{Kind: Invalid, Field: field, Reason: fmt.Sprintf(format, args...)}
}

// New makes a fault of any other kind.
func New(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Reason: fmt.Sprintf(format, args...)}
}

// KindOf tells the kind of the fault that err is or wraps; Internal if it is none.
func KindOf(err error) Kind {
	if f, ok := errors.AsType[*Error](err); ok {
		return f.Kind
	}
	return Internal
}
