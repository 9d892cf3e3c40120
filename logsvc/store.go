package logsvc

import (
	"bytes"
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
)

// Store keeps entries. Its methods are safe for concurrent use, from any number of replicas where the store can be shared. A
// method that returns no error has made its effect durable: it survives a crash of the process and of the machine. A method
// that returns an error may or may not have had its effect, and may be called again. Contexts are honoured: a cancelled call
// returns soon, with an error that wraps the context's. Every sentence here is a subtest of storetest.
type Store interface {
	// Record stores entries in one transaction: all of them or none. By (workspace, id), an entry that is new is stored,
	// and one that is there becomes the Merge of itself and the new one. The batch may hold one id several times: that is
	// as if its entries were recorded one after another. All ids are within the window of the service, which reaches a
	// day into the future.
	Record(ctx context.Context, entries []Entry) error

	// Get returns the entry of this workspace and id; found is false where there is none.
	Get(ctx context.Context, workspaceID string, id uuid.UUID) (entry Entry, found bool, err error)

	// List returns the newest entries of the workspace that match the filter and lie in the range. When the time
	// of query.Budget is used up it stops early, with fewer entries than the limit; each call makes progress:
	// SearchedTo is below the range's To. Everything that matches from SearchedTo on is in the page.
	// An empty range has been searched: SearchedTo is its From.
	List(ctx context.Context, query Query) (Page, error)

	// Purge deletes entries of the workspace with ids up to and including upTo, at most a bounded chunk, and returns how
	// many. 0 = there are none left.
	Purge(ctx context.Context, workspaceID string, upTo uuid.UUID) (int64, error)

	// Expire deletes entries with ids below before, in every workspace: at least all of the UTC days that have ended by
	// then, and nothing from before on. Stores that keep days apart leave the rest of a day; readers therefore
	// always bound their range. It may work in bounded chunks; on an error it has deleted some.
	Expire(ctx context.Context, before uuid.UUID) error
}

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

// TimeRange returns the ids of the times start <= t < end. A zero time is no bound.
func TimeRange(start, end time.Time) Range {
	r := Range{To: uuid.Max}
	if !start.IsZero() {
		r.From = uuid7.First(start)
	}
	if !end.IsZero() {
		r.To = uuid7.First(end)
	}
	return r
}

// Empty reports whether no id can be in the range.
func (r Range) Empty() bool { return bytes.Compare(r.From[:], r.To[:]) >= 0 }

// Overlap returns the ids that are in both ranges.
func (r Range) Overlap(other Range) Range {
	if bytes.Compare(other.From[:], r.From[:]) > 0 {
		r.From = other.From
	}
	if bytes.Compare(other.To[:], r.To[:]) < 0 {
		r.To = other.To
	}
	return r
}

// Query is one page of a search, newest first.
type Query struct {
	WorkspaceID string
	Filter      Filter
	// Range bounds the search: its To is where this page begins (exclusive), its From where the search ends.
	Range Range
	// Limit is the most entries to return, at least 1.
	Limit int
	// Budget is the time that the store may search for; it may overrun a little. 0 = no limit.
	Budget time.Duration
}

// Page is the result of a Query.
type Page struct {
	// Entries match the query, by descending id.
	Entries []Entry
	// SearchedTo is how far the store has searched: every match with an id from SearchedTo on (and below the
	// query's Range.To) is in Entries. It equals the query's Range.From once everything was searched.
	SearchedTo uuid.UUID
}
