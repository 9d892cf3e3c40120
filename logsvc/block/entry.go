package block

import (
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
)

// Entry is one request log: the row about one call, or a shared row about many calls that proved no key.
type Entry struct {
	// ID is a UUIDv7: its timestamp is the time of the call.
	ID          uuid.UUID
	WorkspaceID string
	// KeyID, KeyName, KeyLast4 and ExternalID are a snapshot of the key at the check; zero where no key was proved.
	KeyID      uuid.UUID
	KeyName    string
	KeyLast4   string
	ExternalID string

	AgentType string
	AgentID   string
	Method    string
	// Endpoint is the path of the call, valid UTF-8, at most 2,048 bytes.
	Endpoint string

	// Status is the HTTP status of the call; 0 = in progress.
	Status int
	// ErrorCode says why the check denied the call; empty if it was allowed. It has any value of the form: a later
	// release may know more codes.
	ErrorCode string
	// Cause tells apart the reasons that one code stands for; empty where there is one reason only.
	Cause string
	// Latency has microsecond precision. It is set only if Reported is, and may then be 0.
	Latency  time.Duration
	Reported bool

	// CallCount is how many calls the row stands for, 1 to math.MaxInt32. Above 1 only where they proved no key.
	CallCount int

	// FromReport is set if the description (key snapshot, agent, method and endpoint) was made from a report alone. Parts
	// of it may then be cut.
	FromReport bool
}

// Time returns when the call was received, to the millisecond.
func (e Entry) Time() time.Time { return uuid7.Time(e.ID) }

// rank orders how much is known about the end of a call: in progress, denied by the check, reported. An entry in progress
// has the lowest rank even if it has a latency.
func (e Entry) rank() int {
	switch {
	case e.Status == 0:
		return 0
	case !e.Reported:
		return 1
	}
	return 2
}

// Merge returns what is known about a call from two entries of one workspace and id, of which first was recorded before
// second:
//
//   - Status, ErrorCode, Cause and Latency go together, by rank: in progress (status 0) < denied by the check (a status,
//     no latency) < reported (a latency). The higher rank wins; of two entries of equal rank the first stays.
//   - The description (key snapshot, agent, method, endpoint) comes from the first entry that a check made, and from a
//     report's (FromReport) only while there is none.
//   - CallCount is the larger of the two.
//
// Every store follows the same rule. Merging is associative: entries may be merged with each other before they are
// merged with what is stored.
func Merge(first, second Entry) Entry {
	merged := first
	if first.FromReport && !second.FromReport {
		merged = second
	}
	end := first
	if second.rank() > first.rank() {
		end = second
	}
	merged.Status, merged.ErrorCode, merged.Cause = end.Status, end.ErrorCode, end.Cause
	merged.Latency, merged.Reported = end.Latency, end.Reported
	merged.CallCount = max(first.CallCount, second.CallCount)
	return merged
}
