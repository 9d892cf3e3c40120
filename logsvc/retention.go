package logsvc

import (
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
)

const (
	// DefaultRetention is the fixed rolling window.
	DefaultRetention = 30 * 24 * time.Hour
	// maxAhead is how far a row's clock may run ahead of this service's. Stores must be able to keep rows up to
	// that far in the future.
	maxAhead = 24 * time.Hour
)

// Window is what is kept and shown at one moment: the ids from From on.
type Window struct {
	// From is the lowest id that is young enough.
	From uuid.UUID
	// To is the lowest id that is too far in the future to be stored.
	To uuid.UUID
}

// WindowAt is the window of a moment. A row is in it until the millisecond in which it is as old as the retention.
func WindowAt(now time.Time, retention time.Duration) Window {
	return Window{
		From: uuid7.First(now.Add(-retention).Add(time.Millisecond)),
		To:   uuid7.First(now.Add(maxAhead)),
	}
}
