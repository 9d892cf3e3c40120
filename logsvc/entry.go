// Package logsvc is the domain of the log service: what a request log is, how long it is kept, how it is found
// again, and the contract of the stores that keep it. It knows nothing of SQL or HTTP.
package logsvc

import (
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
)

// Entry is one request log: the row about one call, or about many that proved no key.
type Entry struct {
	// ID is a UUIDv7: its timestamp is the time of the call.
	ID          uuid.UUID
	WorkspaceID string
	// KeyID, KeyName and KeyLast4 are a snapshot of the key at the check; zero where no key was proved.
	KeyID    uuid.UUID
	KeyName  string
	KeyLast4 string

	AgentType string
	AgentID   string
	Method    string
	// Endpoint is the path of the call, valid UTF-8, at most 2,048 bytes.
	Endpoint string

	// Status is the HTTP status of the call; 0 = in progress.
	Status int
	// ErrorCode is one of the six, or empty.
	ErrorCode string
	// Latency is kept to the microsecond.
	Latency time.Duration

	// Repeated is how many calls the row stands for, 1 to math.MaxInt32. Above 1 only where they proved no key.
	Repeated int
}

// Time is when the call was received, to the millisecond.
func (e Entry) Time() time.Time { return uuid7.Time(e.ID) }

// Finished tells whether the call has ended. A finished row never changes again, but for more calls that it stands for.
func (e Entry) Finished() bool { return e.Status != 0 }
