package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/keytrail/keytrail/internal/pgdb"
	"github.com/keytrail/keytrail/logsvc"
)

const (
	// firstChunk is how many rows a search reads before it knows how rare its matches are; chunks grow up to
	// maxChunk, about 16 ms.
	firstChunk = 2000
	maxChunk   = 16_000
	// minRarity is the number of rows per match from which on the trigram index is faster than scanning the primary key: a
	// page of 50 would take more than 20,000 rows.
	minRarity = 400
	// maxDays is how many days are queried in one round trip, once the first few had too few matches.
	maxDays = 8
	// indexTimeout bounds the query of one day by an index. It is slow where the index has many rows that the rest of the
	// filter excludes, or where each trigram is common and their combination is not.
	indexTimeout = 60 * time.Millisecond
	// minIndexTimeout is the timeout at the end of the budget.
	minIndexTimeout = 10 * time.Millisecond
)

// segment is a range of ids within one day that is searched in one way.
type segment struct {
	partition
	ids logsvc.Range
	// indexed segments have a trigram index over their endpoints.
	indexed bool
}

// search is the state of a search for one page.
type search struct {
	*Store
	query logsvc.Query
	// refs are the snapshots of the key in the filter.
	refs []int64
	// segments are what is left to search, newest first.
	segments []segment
	page     logsvc.Page
	// until is when the budget is used up; zero = never.
	until time.Time
	// days and chunk are the size of the next step; walked is how many rows were read one by one.
	days, chunk, walked int
	// rare is set if matches are rare enough for the trigram index, and walking if an index was too slow.
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
	search := &search{Store: s, query: query, days: 1, chunk: firstChunk, page: logsvc.Page{SearchedTo: query.Range.To}}
	if query.Budget > 0 {
		// The rest is for the step that is running at the end.
		search.until = time.Now().Add(query.Budget * 3 / 4)
	}
	if err := search.findKey(ctx); err != nil {
		return nothing, err
	}
	if query.Filter.KeyID != uuid.Nil && len(search.refs) == 0 {
		return nothing, nil
	}
	if err := search.plan(ctx); err != nil {
		return nothing, err
	}
	for !search.complete() {
		err := search.step(ctx)
		if undefinedTable(err) {
			err = search.plan(ctx)
		}
		if err != nil {
			return nothing, err
		}
		// A query that timed out made no progress: a chunk of the primary key must follow.
		if search.left() <= 0 && search.page.SearchedTo != query.Range.To {
			break
		}
	}
	return search.page, nil
}

// plan reads which days are left to search, and which of them are indexed.
func (s *search) plan(ctx context.Context) error {
	days, _, err := listPartitions(ctx, s.readers)
	if err != nil {
		return err
	}
	if s.query.Filter.Endpoint != "" {
		ends, err := s.indexes.ends(ctx, s.readers)
		if err != nil {
			return err
		}
		for i := range days {
			days[i].indexedTo = ends[days[i].day]
		}
	}
	s.segments = segments(days, logsvc.Range{From: s.query.Range.From, To: s.page.SearchedTo})
	return nil
}

// findKey reads the snapshots of the key in the filter.
func (s *search) findKey(ctx context.Context) error {
	if s.query.Filter.KeyID == uuid.Nil {
		return nil
	}
	rows, err := s.readers.Query(ctx, `SELECT key_ref FROM request_log_keys WHERE workspace_id = $1 AND key_id = $2`,
		s.query.WorkspaceID, pgUUID(s.query.Filter.KeyID))
	if err != nil {
		return err
	}
	s.refs, err = pgx.CollectRows(rows, pgx.RowTo[int64])
	return err
}

// segments are the parts of the days that lie in the range, newest first. A day that is indexed up to some hour makes
// two.
func segments(days []partition, within logsvc.Range) []segment {
	var all []segment
	add := func(d partition, ids logsvc.Range, indexed bool) {
		ids = ids.Overlap(within)
		if !d.detaching && !ids.Empty() {
			all = append(all, segment{partition: d, ids: ids, indexed: indexed})
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

func (s *search) complete() bool {
	if len(s.segments) == 0 {
		s.page.SearchedTo = s.query.Range.From
	}
	return len(s.segments) == 0 || s.room() == 0
}

// room returns how many more entries the page takes.
func (s *search) room() int { return s.query.Limit - len(s.page.Entries) }

// left returns how much of the budget is left.
func (s *search) left() time.Duration {
	if s.until.IsZero() {
		return time.Hour
	}
	return time.Until(s.until)
}

// step searches the next days by the index of the filter, the next days by the trigram index, or the next chunk of the
// primary key. After a timeout of an index the rest of the page is searched by the primary key.
func (s *search) step(ctx context.Context) error {
	filter := s.query.Filter
	toStatement := s.direct
	switch {
	case s.walking:
		return s.walkChunk(ctx)
	case filter.Endpoint != "":
		if !s.rare || !s.segments[0].indexed {
			return s.walkChunk(ctx)
		}
		toStatement = s.byTrigrams
	case filter.StatusClass == 2 && s.refs == nil && filter.ErrorCode == "":
		return s.walkChunk(ctx)
	}
	err := s.queryDays(ctx, toStatement)
	if queryCanceled(err) {
		s.walking = true
		return nil
	}
	return err
}

// queryDays queries the next days in one round trip, twice as many each time, and adds the results until the page is full.
func (s *search) queryDays(ctx context.Context, toStatement func(segment, int) *statement) error {
	queried := s.segments[:min(s.days, len(s.segments))]
	if s.query.Filter.Endpoint != "" {
		for i, seg := range queried {
			if !seg.indexed {
				queried = queried[:i]
				break
			}
		}
	}
	each := max(minIndexTimeout, min(indexTimeout, s.left()/time.Duration(len(queried))))
	batch := &pgx.Batch{}
	batch.Queue("SELECT set_config('statement_timeout', $1, true)", fmt.Sprint(each.Milliseconds()))
	for _, seg := range queried {
		st := toStatement(seg, s.room())
		batch.Queue(st.sql, st.args...)
	}
	results := s.readers.SendBatch(ctx, batch)
	if _, err := results.Exec(); err != nil {
		results.Close()
		return err
	}
	for range queried {
		if s.room() == 0 {
			break
		}
		rows, err := results.Query()
		if err == nil {
			err = s.add(rows, s.segments[0].ids.From)
		}
		if err != nil {
			results.Close()
			return err
		}
	}
	s.days = min(2*s.days, maxDays)
	if err := results.Close(); err != nil && s.room() > 0 {
		return err
	}
	return nil
}

// walkChunk reads the next rows of the primary key, whether they match or not. That bounds its time however rare a match
// is.
func (s *search) walkChunk(ctx context.Context) error {
	seg := s.segments[0]
	edge, read, err := s.edge(ctx, seg)
	if err != nil {
		return err
	}
	seg.ids.From = edge
	st := s.walk(seg, s.room())
	rows, err := s.readers.Query(ctx, st.sql, st.args...)
	if err != nil {
		return err
	}
	if err := s.add(rows, edge); err != nil {
		return err
	}
	s.walked += read
	s.rare = indexable.MatchString(selectivePart(s.query.Filter.Endpoint)) &&
		s.walked >= minRarity && len(s.page.Entries)*minRarity < s.walked
	s.chunk = min(2*s.chunk, maxChunk)
	return nil
}

// edge returns the id at which the next chunk of the segment ends, and how many rows the chunk has.
func (s *search) edge(ctx context.Context, seg segment) (edge uuid.UUID, read int, err error) {
	rows, err := s.readers.Query(ctx, "WITH chunk AS MATERIALIZED (SELECT id FROM "+seg.table()+
		" WHERE workspace_id = $1 AND id >= $2 AND id < $3 ORDER BY id DESC LIMIT $4)"+
		" SELECT count(*), (SELECT id FROM chunk OFFSET $5 LIMIT 1) FROM chunk",
		s.query.WorkspaceID, pgUUID(seg.ids.From), pgUUID(seg.ids.To), s.chunk, s.chunk-1)
	if err != nil {
		return uuid.Nil, 0, err
	}
	var last pgtype.UUID
	_, err = pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (struct{}, error) {
		return struct{}{}, row.Scan(&read, &last)
	})
	if !last.Valid {
		return seg.ids.From, read, err
	}
	return last.Bytes, read, err
}

// add adds the results of the first segment down to the id from.
func (s *search) add(rows pgx.Rows, from uuid.UUID) error {
	found, err := pgx.CollectRows(rows, scanEntry(s.query.WorkspaceID))
	if err != nil {
		return err
	}
	// Days that were queried together each return up to a whole page.
	found = found[:min(len(found), s.room())]
	s.page.Entries = append(s.page.Entries, found...)
	seg := &s.segments[0]
	switch {
	case s.room() == 0:
		s.page.SearchedTo = s.page.Entries[s.query.Limit-1].ID
	case from == seg.ids.From:
		s.page.SearchedTo, s.segments = from, s.segments[1:]
	default:
		s.page.SearchedTo, seg.ids.To = from, from
	}
	return nil
}
