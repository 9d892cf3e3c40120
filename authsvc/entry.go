package authsvc

import (
	"time"

	"github.com/google/uuid"
)

// Unattributed is the reserved workspace of calls that prove no key and name no workspace.
const Unattributed = "_unattributed"

// Entry is the request log of one call, or of several that prove no key, as this service knows it. KeyID, KeyName,
// KeyLast4 and ExternalID are a snapshot of the key; zero if none was proved.
type Entry struct {
	// ID is a UUIDv7 with the time of the call.
	ID          uuid.UUID
	WorkspaceID string
	KeyID       uuid.UUID
	KeyName     string
	KeyLast4    string
	ExternalID  string
	AgentType   string
	AgentID     string
	Method      string
	Endpoint    string
	// Status is the HTTP status that the caller got, or of a denied call should get; 0 means in progress.
	Status    int
	ErrorCode ErrorCode
	Cause     Cause
	// Reported is set once the call has been reported. Latency is valid then.
	Reported bool
	Latency  time.Duration // end to end
	// CallCount is how many calls the row stands for: 1, or more for a shared row.
	CallCount int
	// FromReport is set if the entry was made from a report token alone, whose texts may be cut.
	FromReport bool
}
