package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
)

// List implements logsvc.Store. It searches in chunks of rows of one index, whether they match or not. That bounds the time of
// a chunk however rare a match is. The first chunk is always searched, which is the progress that the contract promises.
func (s *Store) List(ctx context.Context, query logsvc.Query) (logsvc.Page, error) {
	if query.Range.Empty() {
		return logsvc.Page{SearchedTo: query.Range.From}, nil
	}
	started := time.Now()
	walk := newWalk(query.WorkspaceID, query.Filter)
	page := logsvc.Page{SearchedTo: query.Range.To}
	for !complete(page, query) {
		if err := s.searchChunkBelow(ctx, walk, query, &page); err != nil {
			return logsvc.Page{}, fmt.Errorf("list request logs of %s: %w", query.WorkspaceID, err)
		}
		if query.Budget > 0 && time.Since(started) >= query.Budget {
			break
		}
	}
	return page, nil
}

func complete(page logsvc.Page, query logsvc.Query) bool {
	return len(page.Entries) >= query.Limit || page.SearchedTo == query.Range.From
}

// searchChunkBelow searches the chunk below page.SearchedTo. It looks for one entry more than there is room for: only if that
// one exists does the page end at its last entry and not at the end of the chunk.
func (s *Store) searchChunkBelow(ctx context.Context, walk walk, query logsvc.Query, page *logsvc.Page) error {
	chunk := logsvc.Range{From: query.Range.From, To: page.SearchedTo}
	var err error
	if chunk.From, err = s.chunkStart(ctx, walk, chunk); err != nil {
		return err
	}
	room := query.Limit - len(page.Entries)
	found, err := s.matches(ctx, walk, chunk, room+1)
	if err != nil {
		return err
	}
	page.SearchedTo = chunk.From
	if len(found) > room {
		found = found[:room]
		page.SearchedTo = found[room-1].ID
	}
	page.Entries = append(page.Entries, found...)
	return nil
}

// chunkStart returns the lowest id of the chunk that ends at within.To.
func (s *Store) chunkStart(ctx context.Context, walk walk, within logsvc.Range) (uuid.UUID, error) {
	statement, args := walk.ids(within, s.searchChunk)
	rows, err := s.db.Read.QueryContext(ctx, statement, args...)
	if err != nil {
		return uuid.Nil, err
	}
	defer rows.Close()
	start := within.From
	if rows.Next() {
		err = rows.Scan(&start)
	}
	if err == nil {
		err = rows.Err()
	}
	return start, err
}

func (s *Store) matches(ctx context.Context, walk walk, within logsvc.Range, limit int) ([]logsvc.Entry, error) {
	statement, args := walk.matches(within, limit)
	return s.entries(ctx, statement, args...)
}

// entries returns all rows of a statement that selects columns.
func (s *Store) entries(ctx context.Context, statement string, args ...any) ([]logsvc.Entry, error) {
	rows, err := s.db.Read.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var entries []logsvc.Entry
	for rows.Next() {
		entry, err := scan(rows)
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	return entries, rows.Err()
}
