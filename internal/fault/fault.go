// Package fault is the vocabulary of errors that callers may see. A fault says what kind of mistake it is, gives programs
// a stable reason and people a message, and names the field of bad input. It knows nothing of gRPC or HTTP: the one table
// that maps kinds to codes is in internal/serve. Every other error is internal: its text is logged, never shown.
package fault

import (
	"errors"
	"fmt"
)

// Kind says what the caller can do about a fault.
type Kind int

const (
	// Internal is every error that is not a fault: nothing that the caller could mend.
	Internal Kind = iota
	// Invalid input: the request can never succeed as it is.
	Invalid
	// NotFound: the named thing does not exist, or not for this caller.
	NotFound
	// AlreadyExists: the request was carried out before.
	AlreadyExists
	// Precondition: the request is right, the state of the thing is not.
	Precondition
	// Aborted: somebody else has changed the thing meanwhile.
	Aborted
	// Unauthenticated: nothing proves who calls.
	Unauthenticated
	// Forbidden: the caller may not do this.
	Forbidden
	// Exhausted: the caller has asked for too much.
	Exhausted
	// Late: the request, or what it asks for, was not done in time.
	Late
	// Cancelled: the caller does not want it any more.
	Cancelled
	// Unimplemented: there is no such method.
	Unimplemented
	// Unavailable: try again later; nothing is known to have happened. The one exception is ChangeNotInForce: the change
	// is stored, and is not to be repeated.
	Unavailable
)

// Reason is the stable name of a mistake, which programs may compare: the reason of google.rpc.ErrorInfo.
type Reason struct {
	name string
	kind Kind
}

// String returns the name, in UPPER_SNAKE_CASE.
func (r Reason) String() string { return r.name }

// Kind returns the kind of every fault with this reason.
func (r Reason) Kind() Kind { return r.kind }

// The reasons. docs/errors.md says what each means, and which metadata it has.
var (
	FieldInvalid        = add("FIELD_INVALID", Invalid)
	CallIDClock         = add("CALL_ID_CLOCK", Invalid)
	RequestMalformed    = add("REQUEST_MALFORMED", Invalid)
	RequestTooComplex   = add("REQUEST_TOO_COMPLEX", Invalid)
	KeyNotFound         = add("KEY_NOT_FOUND", NotFound)
	RequestLogNotFound  = add("REQUEST_LOG_NOT_FOUND", NotFound)
	RouteNotFound       = add("ROUTE_NOT_FOUND", NotFound)
	RequestIDUsed       = add("REQUEST_ID_USED", AlreadyExists)
	TooManySecrets      = add("TOO_MANY_SECRETS", Precondition)
	AgentAccessConflict = add("AGENT_ACCESS_CONFLICT", Precondition)
	StoreNotEmpty       = add("STORE_NOT_EMPTY", Precondition)
	ETagMismatch        = add("ETAG_MISMATCH", Aborted)
	TokenMissing        = add("TOKEN_MISSING", Unauthenticated)
	TokenInvalid        = add("TOKEN_INVALID", Unauthenticated)
	RoleMissing         = add("ROLE_MISSING", Forbidden)
	WorkspaceForbidden  = add("WORKSPACE_FORBIDDEN", Forbidden)
	MethodForbidden     = add("METHOD_FORBIDDEN", Forbidden)
	OriginForbidden     = add("ORIGIN_FORBIDDEN", Forbidden)
	BodyTooLarge        = add("BODY_TOO_LARGE", Exhausted)
	ReflectionBusy      = add("REFLECTION_BUSY", Exhausted)
	RequestLate         = add("REQUEST_LATE", Late)
	DeadlineExceeded    = add("DEADLINE_EXCEEDED", Late)
	CallCancelled       = add("CALL_CANCELLED", Cancelled)
	MethodUnknown       = add("METHOD_UNKNOWN", Unimplemented)
	TrailFull           = add("TRAIL_FULL", Unavailable)
	TrailFailed         = add("TRAIL_FAILED", Unavailable)
	StoreUnavailable    = add("STORE_UNAVAILABLE", Unavailable)
	ChangeNotInForce    = add("CHANGE_NOT_IN_FORCE", Unavailable)
	ServiceUnreachable  = add("SERVICE_UNREACHABLE", Unavailable)
	IssuerUnreachable   = add("ISSUER_UNREACHABLE", Unavailable)
	ServerStopping      = add("SERVER_STOPPING", Unavailable)
	InternalError       = add("INTERNAL", Internal)
)

var reasons []Reason

func add(name string, kind Kind) Reason {
	r := Reason{name, kind}
	reasons = append(reasons, r)
	return r
}

// Reasons returns all of them.
func Reasons() []Reason { return append([]Reason(nil), reasons...) }

// Error is a fault. Its texts are for the caller: they hold no secret.
type Error struct {
	Reason Reason
	// Field names the request field that is wrong, as the contract spells it; only of Invalid.
	Field string
	// Message is what is wrong, in words.
	Message string
	// Metadata is what a program may want to know, e.g. the id of a key.
	Metadata map[string]string
}

// Error returns the text that the caller sees: "field: message", or the message alone.
func (e *Error) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + ": " + e.Message
}

// InvalidField makes a fault of one request field.
func InvalidField(field, format string, args ...any) error {
	return &Error{Reason: FieldInvalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

// New makes any other fault.
func New(reason Reason, format string, args ...any) error {
	return &Error{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of the fault that err is or wraps; Internal if it is none.
func KindOf(err error) Kind {
	if f, ok := errors.AsType[*Error](err); ok {
		return f.Reason.kind
	}
	return Internal
}
