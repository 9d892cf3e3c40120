package logsvc

import (
	"bytes"
	"time"

	"github.com/google/uuid"
)

// Filter selects entries of one workspace. Its fields combine with AND; a zero one selects all.
type Filter struct {
	// StatusClass is the first digit of the status: 2, 4 or 5.
	StatusClass int
	KeyID       uuid.UUID
	// Endpoint is a substring: ASCII letters match either case, every other character stands for itself.
	Endpoint  string
	ErrorCode string
}

// Range is a half-open range of ids: From <= id < To.
type Range struct {
	From, To uuid.UUID
}

// Empty tells whether no id can be in the range.
func (r Range) Empty() bool { return bytes.Compare(r.From[:], r.To[:]) >= 0 }

// Query is one page of a walk, newest first.
type Query struct {
	WorkspaceID string
	Filter      Filter
	// Range bounds the walk: its From is where the walk ends, its To where this page begins (exclusive).
	Range Range
	// Limit is the most entries to answer, at least 1.
	Limit int
	// Budget is the time that the store may search for; it may overrun a little. 0 = no limit.
	Budget time.Duration
}

// Page is the answer to a Query.
type Page struct {
	// Entries match the query, by descending id.
	Entries []Entry
	// SearchedTo is how far the store has searched: every match with an id from SearchedTo on (and below the
	// query's Range.To) is in Entries. It equals the query's Range.From once everything was searched.
	SearchedTo uuid.UUID
}
