package authsvc

import (
	"time"

	"github.com/google/uuid"
)

// Unattributed is the reserved workspace of calls that proved no key and named no workspace.
const Unattributed = "_unattributed"

// Entry is the request log of one call, or of several that proved no key, as this service knows it. KeyID, KeyName,
// KeyLast4 and ExternalID are a snapshot of the key; zero where none was proved.
type Entry struct {
	// ID is a UUIDv7 of the time of the call.
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
	// Status is the HTTP status that the caller got, or is to get of a denied call; 0 = in progress.
	Status    int
	ErrorCode ErrorCode
	Cause     Cause
	// Reported is set once the call has been reported: Latency, end to end, is valid then, and zero before.
	Reported bool
	Latency  time.Duration
	// CallCount is how many calls the row stands for: 1, or more where they proved no key.
	CallCount int
	// FromReport is set where the entry was made from a report token alone, whose texts may be cut.
	FromReport bool
}
