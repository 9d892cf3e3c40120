package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/keytrail/keytrail/internal/pgdb"
	"github.com/keytrail/keytrail/logsvc"
)

const (
	// firstChunk is how many rows a search looks at before it knows how rare its matches are; chunks grow up to
	// largestChunk, about 16 ms.
	firstChunk   = 2000
	largestChunk = 16_000
	// rarity is how many rows there are to one match, at the least, for the trigram index to be quicker than a walk
	// along the primary key: a page of 50 would take more than 20,000 rows.
	rarity = 400
	// mostDays is how many days are asked in one round trip, once the first few had too little.
	mostDays = 8
	// patience is how long one day may take that is asked by an index: it is slow where the index has much that the
	// rest of the filter refuses, or trigrams that are everywhere while their combination is not.
	patience = 60 * time.Millisecond
	// leastPatience is what a day gets at the end of the budget.
	leastPatience = 10 * time.Millisecond
)

// segment is a range of ids within one day that is searched in one way.
type segment struct {
	stored
	ids logsvc.Range
	// indexed segments have a trigram index over their endpoints.
	indexed bool
}

// search is the state of one page on its way back in time.
type search struct {
	*Store
	query logsvc.Query
	// refs are the snapshots of the key that is asked for.
	refs []int64
	// segments are what is left to search, newest first.
	segments []segment
	page     logsvc.Page
	// until is when the budget is used up; zero = never.
	until time.Time
	// days and chunk are how much the next step takes on; walked is how many rows were looked at one by one.
	days, chunk, walked int
	// rare says that matches are rare enough for the trigram index, and walking that an index has proved no help.
	rare, walking bool
}

// List implements logsvc.Store.
func (s *Store) List(ctx context.Context, query logsvc.Query) (logsvc.Page, error) {
	page, err := s.list(ctx, query)
	if err != nil {
		return logsvc.Page{}, fmt.Errorf("list request logs of %s: %w", query.WorkspaceID, pgdb.Unavailable(ctx, err))
	}
	return page, nil
}

func (s *Store) list(ctx context.Context, query logsvc.Query) (logsvc.Page, error) {
	nothing := logsvc.Page{SearchedTo: query.Range.From}
	if query.Range.Empty() {
		return nothing, nil
	}
	on := &search{Store: s, query: query, days: 1, chunk: firstChunk, page: logsvc.Page{SearchedTo: query.Range.To}}
	if query.Budget > 0 {
		// What is left is for the step that is under way at the end.
		on.until = time.Now().Add(query.Budget * 3 / 4)
	}
	if err := on.findKey(ctx); err != nil {
		return nothing, err
	}
	if query.Filter.KeyID != uuid.Nil && len(on.refs) == 0 {
		return nothing, nil
	}
	if err := on.plan(ctx); err != nil {
		return nothing, err
	}
	for !on.complete() {
		err := on.step(ctx)
		if gone(err) {
			err = on.plan(ctx)
		}
		if err != nil {
			return nothing, err
		}
		// An index that was too slow made no progress: then a chunk of the primary key still has to.
		if on.left() <= 0 && on.page.SearchedTo != query.Range.To {
			break
		}
	}
	return on.page, nil
}

// plan reads which days there are left to search, and how.
func (on *search) plan(ctx context.Context) error {
	days, err := storedDays(ctx, on.readers)
	if err != nil {
		return err
	}
	if on.query.Filter.Endpoint != "" {
		ends, err := on.indexes.ends(ctx, on.readers)
		if err != nil {
			return err
		}
		for i := range days {
			days[i].indexedTo = ends[days[i].day]
		}
	}
	on.segments = segments(days, logsvc.Range{From: on.query.Range.From, To: on.page.SearchedTo})
	return nil
}

// findKey reads which snapshots the key that is asked for has had.
func (on *search) findKey(ctx context.Context) error {
	if on.query.Filter.KeyID == uuid.Nil {
		return nil
	}
	rows, err := on.readers.Query(ctx, `SELECT key_ref FROM request_log_keys WHERE workspace_id = $1 AND key_id = $2`,
		on.query.WorkspaceID, pgUUID(on.query.Filter.KeyID))
	if err != nil {
		return err
	}
	on.refs, err = pgx.CollectRows(rows, pgx.RowTo[int64])
	return err
}

// segments are the parts of the days that lie in the range, newest first. A day that is indexed up to some hour makes
// two.
func segments(days []stored, within logsvc.Range) []segment {
	var all []segment
	add := func(d stored, ids logsvc.Range, indexed bool) {
		ids = overlap(ids, within)
		if !d.detaching && !ids.Empty() {
			all = append(all, segment{stored: d, ids: ids, indexed: indexed})
		}
	}
	for _, d := range days {
		whole := d.ids()
		if d.indexedTo.IsZero() {
			add(d, whole, false)
			continue
		}
		at := bound(d.indexedTo)
		add(d, logsvc.Range{From: at, To: whole.To}, false)
		add(d, logsvc.Range{From: whole.From, To: at}, true)
	}
	return all
}

func overlap(a, b logsvc.Range) logsvc.Range {
	if below(a.From, b.From) {
		a.From = b.From
	}
	if below(b.To, a.To) {
		a.To = b.To
	}
	return a
}

func (on *search) complete() bool {
	if len(on.segments) == 0 {
		on.page.SearchedTo = on.query.Range.From
	}
	return len(on.segments) == 0 || on.room() == 0
}

// room is how many entries the page still takes.
func (on *search) room() int { return on.query.Limit - len(on.page.Entries) }

// left is how much of the budget is left.
func (on *search) left() time.Duration {
	if on.until.IsZero() {
		return time.Hour
	}
	return time.Until(on.until)
}

// step searches on: days by an index of what the filter is about, days by the trigram index, or a chunk of the
// primary key. An index that takes too long gives way to the primary key for the rest of the page.
func (on *search) step(ctx context.Context) error {
	filter := on.query.Filter
	ask := on.direct
	switch {
	case on.walking:
		return on.walkChunk(ctx)
	case filter.Endpoint != "":
		if !on.rare || !on.segments[0].indexed {
			return on.walkChunk(ctx)
		}
		ask = on.byTrigrams
	case filter.StatusClass == 2 && on.refs == nil && filter.ErrorCode == "":
		return on.walkChunk(ctx)
	}
	err := on.askDays(ctx, ask)
	if tooSlow(err) {
		on.walking = true
		return nil
	}
	return err
}

// askDays asks for the next days at once, twice as many each time, and takes the answers until the page is full.
func (on *search) askDays(ctx context.Context, ask func(segment, int) *statement) error {
	asked := on.segments[:min(on.days, len(on.segments))]
	if on.query.Filter.Endpoint != "" {
		for i, seg := range asked {
			if !seg.indexed {
				asked = asked[:i]
				break
			}
		}
	}
	each := max(leastPatience, min(patience, on.left()/time.Duration(len(asked))))
	batch := &pgx.Batch{}
	batch.Queue("SELECT set_config('statement_timeout', $1, true)", fmt.Sprint(each.Milliseconds()))
	for _, seg := range asked {
		st := ask(seg, on.room())
		batch.Queue(st.sql, st.args...)
	}
	answers := on.readers.SendBatch(ctx, batch)
	if _, err := answers.Exec(); err != nil {
		answers.Close()
		return err
	}
	for range asked {
		if on.room() == 0 {
			break
		}
		rows, err := answers.Query()
		if err == nil {
			err = on.take(rows, on.segments[0].ids.From)
		}
		if err != nil {
			answers.Close()
			return err
		}
	}
	on.days = min(2*on.days, mostDays)
	if err := answers.Close(); err != nil && on.room() > 0 {
		return err
	}
	return nil
}

// walkChunk looks at the next rows of the primary key, whether they match or not: that bounds its time however rare
// a match is.
func (on *search) walkChunk(ctx context.Context) error {
	seg := on.segments[0]
	edge, looked, err := on.edge(ctx, seg)
	if err != nil {
		return err
	}
	seg.ids.From = edge
	st := on.walk(seg, on.room())
	rows, err := on.readers.Query(ctx, st.sql, st.args...)
	if err != nil {
		return err
	}
	if err := on.take(rows, edge); err != nil {
		return err
	}
	on.walked += looked
	on.rare = indexable.MatchString(telling(on.query.Filter.Endpoint)) &&
		on.walked >= rarity && len(on.page.Entries)*rarity < on.walked
	on.chunk = min(2*on.chunk, largestChunk)
	return nil
}

// edge is the id at which the next chunk of the segment ends, and how many rows it has.
func (on *search) edge(ctx context.Context, seg segment) (edge uuid.UUID, looked int, err error) {
	rows, err := on.readers.Query(ctx, "WITH chunk AS MATERIALIZED (SELECT id FROM "+seg.table()+
		" WHERE workspace_id = $1 AND id >= $2 AND id < $3 ORDER BY id DESC LIMIT $4)"+
		" SELECT count(*), (SELECT id FROM chunk OFFSET $5 LIMIT 1) FROM chunk",
		on.query.WorkspaceID, pgUUID(seg.ids.From), pgUUID(seg.ids.To), on.chunk, on.chunk-1)
	if err != nil {
		return uuid.Nil, 0, err
	}
	var last pgtype.UUID
	_, err = pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (struct{}, error) {
		return struct{}{}, row.Scan(&looked, &last)
	})
	if !last.Valid {
		return seg.ids.From, looked, err
	}
	return last.Bytes, looked, err
}

// take adds the answers about the first segment down to the id from.
func (on *search) take(rows pgx.Rows, from uuid.UUID) error {
	found, err := pgx.CollectRows(rows, scanEntry(on.query.WorkspaceID))
	if err != nil {
		return err
	}
	// Days that were asked at once do not know of each other's entries.
	found = found[:min(len(found), on.room())]
	on.page.Entries = append(on.page.Entries, found...)
	seg := &on.segments[0]
	switch {
	case on.room() == 0:
		on.page.SearchedTo = on.page.Entries[on.query.Limit-1].ID
	case from == seg.ids.From:
		on.page.SearchedTo, on.segments = from, on.segments[1:]
	default:
		on.page.SearchedTo, seg.ids.To = from, from
	}
	return nil
}

// gone tells that a day has been dropped since the catalogue was read. Of days that were asked at once it does not
// say which.
func gone(err error) bool { return isCode(err, "42P01") }

// tooSlow tells that the index was given up on.
func tooSlow(err error) bool { return isCode(err, "57014") }

func isCode(err error, code string) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == code
}
