// Package fault defines the errors that callers may see. A fault has a kind, a stable reason for programs, a message for
// people and, for invalid input, the name of the field. It knows nothing of gRPC or HTTP: one table elsewhere maps kinds to
// codes. Any other error is internal: its text is logged and never returned to the caller.
package fault

import (
	"errors"
	"fmt"
	"slices"
)

// Kind classifies faults by what the caller can do about them.
type Kind int

const (
	// Internal is every error that is not a fault. The caller can do nothing about it.
	Internal Kind = iota
	// Invalid input: the request can never succeed as it is.
	Invalid
	// NotFound: the resource does not exist, or not for this caller.
	NotFound
	// AlreadyExists: the request was carried out before.
	AlreadyExists
	// Precondition: the state of the resource does not permit the request.
	Precondition
	// Aborted: the resource was changed concurrently.
	Aborted
	// Unauthenticated: the caller has no valid token.
	Unauthenticated
	// Forbidden: the token does not permit the request.
	Forbidden
	// Exhausted: the request exceeds a limit.
	Exhausted
	// Late: the request came too late, or was not finished in time.
	Late
	// DataLoss: what is asked for is stored, but damaged.
	DataLoss
	// Cancelled: the caller has cancelled the request.
	Cancelled
	// Unimplemented: the method does not exist.
	Unimplemented
	// Unavailable: try again later; nothing was changed. The exception is ChangeNotInForce: the change is stored and must not
	// be repeated.
	Unavailable
)

// Reason is a stable name that programs can compare: the reason of google.rpc.ErrorInfo.
type Reason struct {
	name string
	kind Kind
}

// String returns the name, in UPPER_SNAKE_CASE.
func (r Reason) String() string { return r.name }

// Kind returns the kind of every fault with this reason.
func (r Reason) Kind() Kind { return r.kind }

// The reasons. docs/errors.md documents each of them and its metadata.
var (
	FieldInvalid         = add("FIELD_INVALID", Invalid)
	CallIDClock          = add("CALL_ID_CLOCK", Invalid)
	RequestMalformed     = add("REQUEST_MALFORMED", Invalid)
	KeyNotFound          = add("KEY_NOT_FOUND", NotFound)
	RequestLogNotFound   = add("REQUEST_LOG_NOT_FOUND", NotFound)
	RouteNotFound        = add("ROUTE_NOT_FOUND", NotFound)
	RequestIDUsed        = add("REQUEST_ID_USED", AlreadyExists)
	TooManySecrets       = add("TOO_MANY_SECRETS", Precondition)
	AgentAccessConflict  = add("AGENT_ACCESS_CONFLICT", Precondition)
	StoreNotEmpty        = add("STORE_NOT_EMPTY", Precondition)
	ETagMismatch         = add("ETAG_MISMATCH", Aborted)
	TokenMissing         = add("TOKEN_MISSING", Unauthenticated)
	TokenInvalid         = add("TOKEN_INVALID", Unauthenticated)
	RoleMissing          = add("ROLE_MISSING", Forbidden)
	WorkspaceForbidden   = add("WORKSPACE_FORBIDDEN", Forbidden)
	MethodForbidden      = add("METHOD_FORBIDDEN", Forbidden)
	OriginForbidden      = add("ORIGIN_FORBIDDEN", Forbidden)
	TooManySearches      = add("TOO_MANY_SEARCHES", Exhausted)
	TailTooSlow          = add("TAIL_TOO_SLOW", Exhausted)
	TooManyTails         = add("TOO_MANY_TAILS", Exhausted)
	BodyTooLarge         = add("BODY_TOO_LARGE", Exhausted)
	KeyQuotaExceeded     = add("KEY_QUOTA_EXCEEDED", Exhausted)
	RequestLate          = add("REQUEST_LATE", Late)
	DeadlineExceeded     = add("DEADLINE_EXCEEDED", Late)
	StoreLate            = add("STORE_LATE", Late)
	CallCancelled        = add("CALL_CANCELLED", Cancelled)
	MethodUnknown        = add("METHOD_UNKNOWN", Unimplemented)
	TrailFull            = add("TRAIL_FULL", Unavailable)
	TrailFailed          = add("TRAIL_FAILED", Unavailable)
	StoreUnavailable     = add("STORE_UNAVAILABLE", Unavailable)
	ChangeNotInForce     = add("CHANGE_NOT_IN_FORCE", Unavailable)
	ServiceUnreachable   = add("SERVICE_UNREACHABLE", Unavailable)
	IssuerUnreachable    = add("ISSUER_UNREACHABLE", Unavailable)
	ServerStopping       = add("SERVER_STOPPING", Unavailable)
	RequestLogUnreadable = add("REQUEST_LOG_UNREADABLE", DataLoss)
	InternalError        = add("INTERNAL", Internal)
)

var reasons []Reason

func add(name string, kind Kind) Reason {
	r := Reason{name, kind}
	reasons = append(reasons, r)
	return r
}

// Reasons returns all reasons.
func Reasons() []Reason { return slices.Clone(reasons) }

// Error is a fault. Its texts are returned to the caller and contain no secret.
type Error struct {
	Reason Reason
	// Field is the invalid request field as in the contract; only set if the kind is Invalid.
	Field   string
	Message string
	// Metadata is for programs, e.g. the ID of a key.
	Metadata map[string]string
}

// Error returns "field: message", or the message alone.
func (e *Error) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + ": " + e.Message
}

// InvalidField returns a fault about a request field.
func InvalidField(field, format string, args ...any) error {
	return &Error{Reason: FieldInvalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

// New returns any other fault.
func New(reason Reason, format string, args ...any) error {
	return &Error{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of the fault that err is or wraps, or Internal.
func KindOf(err error) Kind {
	if f, ok := errors.AsType[*Error](err); ok {
		return f.Reason.kind
	}
	return Internal
}
