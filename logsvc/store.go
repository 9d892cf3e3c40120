package logsvc

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc/block"
)

// Store keeps entries: recent ones as rows, those at rest in sealed blocks (package block). It fetches; the Searcher decides
// what is found, and the Sealer which rows become blocks.
//
// Its methods are safe for concurrent use, from any number of replicas where the store can be shared. A method that returns no
// error has made its effect durable: it survives a crash of the process and of the machine. A method that returns an error may
// or may not have had its effect, and may be called again. Contexts are honoured: a cancelled call returns soon, with an error
// that wraps the context's. Every sentence here is a subtest of storetest.
//
// The blocks of a workspace do not overlap, and each lies within one UTC day.
type Store interface {
	// Record stores entries as recent rows in one transaction: all of them or none. By (workspace, id), an entry that is new
	// is stored, and one that has a recent row becomes the Merge of that and the new one; blocks are not looked at. The batch
	// may hold one id several times: that is as if its entries were recorded one after another. All ids are within the
	// window of the service, which reaches a day into the future.
	Record(ctx context.Context, entries []Entry) error

	// Listen calls announce for each batch that Record stores, on any replica, once View returns its entries: with ranges that
	// contain their ids, at most a few of each workspace. First it calls ready, once: every batch that is stored from then on,
	// and whose Record returns no error, is announced. So is a batch that changes nothing. Both functions return soon, and announce
	// is safe for concurrent use; neither is called after Listen has returned. It returns an error as soon as announcements may
	// have been lost, and when ctx is done.
	Listen(ctx context.Context, ready func(), announce func(Announcement)) error

	// View returns what a search must look at: rows and blocks of one moment. Otherwise a row that has changed and does not match
	// could be left out, and found in its older version in a block that came in between.
	View(ctx context.Context, query ViewQuery) (View, error)

	// Read returns parts of the data of blocks, in the order of parts. ErrBlockGone: one of the blocks has been replaced or
	// deleted. A part that reaches beyond the end of the data is cut.
	Read(ctx context.Context, workspaceID string, parts []Part) ([][]byte, error)

	// Tally counts the recent rows of the workspace that are in the range and above every block. It passes groups of them to add,
	// also with an error, and returns the highest id of all blocks, the nil UUID without a block.
	Tally(ctx context.Context, workspaceID string, ids Range, add func(block.Group)) (above uuid.UUID, err error)

	// Oldest returns up to limit recent rows of the workspace that are in the range, by ascending id.
	Oldest(ctx context.Context, workspaceID string, ids Range, limit int) ([]Entry, error)

	// Backlog returns the workspaces and UTC days that have at least minRows recent rows with ids below before, in any order.
	Backlog(ctx context.Context, before uuid.UUID, minRows int) ([]Backlog, error)

	// Replace carries out a change in one transaction, or none of it. ErrConflict: a row or a block of the change is not there
	// any more, or a block that is to be stored overlaps another one. A row that is there, but not as it was read, stays as it
	// is, and the rest of the change is carried out.
	Replace(ctx context.Context, workspaceID string, change Change) error

	// NextWorkspace returns the first workspace after another one, in byte order, that has rows or blocks; empty if there is none.
	NextWorkspace(ctx context.Context, after string) (string, error)

	// PurgeRecent deletes recent rows of the workspace with ids up to and including upTo, at most a bounded chunk, and returns
	// how many. More is false if none is left of those that were there when it began.
	PurgeRecent(ctx context.Context, workspaceID string, upTo uuid.UUID) (purged int64, more bool, err error)

	// TryLock calls do while it holds the lock of the workspace, which one caller at a time holds, on any replica. It returns
	// false, and does nothing, if another one holds it. The lock saves work; Replace keeps the data right without it.
	TryLock(ctx context.Context, workspaceID string, do func(context.Context) error) (acquired bool, err error)

	// Compact gives back the space of days before the day of a time whose rows have all been sealed. It may leave it for a
	// later call.
	Compact(ctx context.Context, before time.Time) error

	// Expire deletes entries with ids below before, in every workspace: at least all of the UTC days that have ended by
	// then, and nothing from before on. It returns the number of these days, and deletes nothing if they are more than
	// maxDays; empty days may count too. Stores that keep days apart leave the rest of a day; readers therefore
	// always bound their range. It may work in bounded chunks; on an error it has deleted some, and returns the number of
	// days too, or 0 if it could not count them.
	Expire(ctx context.Context, before uuid.UUID, maxDays int) (days int, err error)
}

var (
	// ErrBlockGone is returned by Read for a block that has been replaced or deleted.
	ErrBlockGone = errors.New("the block has been replaced or deleted")
	// ErrConflict is returned by Replace if a row or a block of the change is gone, or a new block overlaps another one.
	ErrConflict = errors.New("rows or blocks have been deleted or sealed meanwhile")
)

// ViewQuery asks for the newest recent rows and blocks in a range.
type ViewQuery struct {
	WorkspaceID string
	Range       Range
	// Filter may leave out recent rows that do not match it. It never leaves out rows that are not above every block: they may
	// be newer versions of sealed rows.
	Filter Filter
	// Rows and Blocks are the most to return, at least 1 each.
	Rows, Blocks int
}

// View is what a search must look at.
type View struct {
	// Rows are recent rows, by descending id, and RowsFrom is how far they reach: no other row with an id from RowsFrom on is
	// in the range and matches the filter. RowsFrom is the range's From once every row was looked at; a store may stop earlier
	// than at ViewQuery.Rows, but makes progress.
	Rows     []Entry
	RowsFrom uuid.UUID
	// Blocks overlap the range, by descending id; BlocksFrom is how far they reach, in the same way.
	Blocks     []Block
	BlocksFrom uuid.UUID
}

// Block names one sealed block.
type Block struct {
	// ID differs for every block that was ever stored.
	ID uuid.UUID
	// First and Last are the lowest and the highest id of its entries.
	First, Last uuid.UUID
	// Rows is the number of its entries.
	Rows int
	// Summary is for block.ParseSummary.
	Summary []byte
}

// Part is a range of bytes of a block's data.
type Part struct {
	Block
	block.Span
}

// Backlog is a workspace and a UTC day that has recent rows.
type Backlog struct {
	WorkspaceID string
	// Day is its first moment.
	Day  time.Time
	Rows int64
}

// Change is what sealing and purging do to the rows and blocks of a workspace.
type Change struct {
	// Rows are recent rows, as they were read, that are deleted.
	Rows []Entry
	// Delete are blocks that are deleted.
	Delete []Block
	// Insert are blocks that are stored.
	Insert []SealedBlock
}

// SealedBlock is a block that is stored.
type SealedBlock struct {
	Block
	Data []byte
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

// Contains reports whether an id is in the range.
func (r Range) Contains(id uuid.UUID) bool {
	return bytes.Compare(r.From[:], id[:]) <= 0 && bytes.Compare(id[:], r.To[:]) < 0
}

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
	// Budget is the time that the search may take; it may overrun a little. 0 = no limit.
	Budget time.Duration
}

// Page is the result of a Query.
type Page struct {
	// Entries match the query, by descending id.
	Entries []Entry
	// SearchedTo is how far the search has come: every match with an id from SearchedTo on (and below the query's Range.To) is
	// in Entries, except in Unreadable. It equals the query's Range.From once everything was searched.
	SearchedTo uuid.UUID
	// Unreadable are the ranges of damaged blocks that the search has passed, newest first.
	Unreadable []Range
}
