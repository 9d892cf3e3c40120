package block

import (
	"strings"

	"github.com/google/uuid"
)

// Filter selects entries of one workspace. Its fields combine with AND; a zero one selects all.
type Filter struct {
	// StatusClass is the first digit of the status: 2, 4 or 5.
	StatusClass int
	// InProgress selects entries in progress, which have no status.
	InProgress bool
	KeyID      uuid.UUID
	// Endpoint is a substring without NUL: ASCII letters match either case, every other character stands for itself.
	Endpoint string
	// Method is in the case that the entries have.
	Method    string
	ErrorCode string
	AgentType string
	AgentID   string
}

// Match reports whether the filter selects an entry.
func (f Filter) Match(e *Entry) bool {
	return (f.StatusClass == 0 || e.Status/100 == f.StatusClass) &&
		(!f.InProgress || e.Status == 0) &&
		(f.KeyID == uuid.Nil || e.KeyID == f.KeyID) &&
		(f.Method == "" || e.Method == f.Method) &&
		(f.ErrorCode == "" || e.ErrorCode == f.ErrorCode) &&
		(f.AgentType == "" || e.AgentType == f.AgentType) &&
		(f.AgentID == "" || e.AgentID == f.AgentID) &&
		(f.Endpoint == "" || strings.Contains(Fold(e.Endpoint), Fold(f.Endpoint)))
}

// Fold returns the text with ASCII letters in lower case, and every other character as it is.
func Fold(text string) string {
	folded := []byte(text)
	fold(folded)
	return string(folded)
}
