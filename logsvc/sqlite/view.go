package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
)

// View implements logsvc.Store. It reads all of it from one state of the file: if a block were stored between the rows and the
// blocks, a row left out because it does not match could be a newer version of one that the block has.
func (s *Store) View(ctx context.Context, query logsvc.ViewQuery) (view logsvc.View, err error) {
	err = s.snapshot(ctx, func(tx *sql.Tx) (err error) {
		if view.Rows, view.RowsFrom, err = s.viewOfRows(ctx, tx, query); err != nil {
			return err
		}
		view.Blocks, view.BlocksFrom, err = viewOfBlocks(ctx, tx, query)
		return err
	})
	if err != nil {
		return logsvc.View{}, fmt.Errorf("view request logs of %s: %w", query.WorkspaceID, err)
	}
	return view, nil
}

// viewOfRows returns what View returns of rows. With a filter, it looks at no more than viewRows rows, however rare a match is.
func (s *Store) viewOfRows(ctx context.Context, tx *sql.Tx, query logsvc.ViewQuery) ([]logsvc.Entry, uuid.UUID, error) {
	ids, newest := query.Range, uuid.Nil
	if query.Filter != (logsvc.Filter{}) {
		var err error
		ids.From, err = selectID(ctx, tx, ids.From, selectNthRow, query.WorkspaceID, ids.From[:], ids.To[:], s.viewRows-1)
		if err != nil {
			return nil, uuid.Nil, err
		}
		if newest, err = newestSealed(ctx, tx, query.WorkspaceID); err != nil {
			return nil, uuid.Nil, err
		}
	}
	statement, args := selectRows(query, ids, newest)
	rows, err := entries(ctx, tx, statement, args...)
	if len(rows) == query.Rows {
		ids.From = rows[len(rows)-1].ID
	}
	return rows, ids.From, err
}

// selectNthRow selects nothing if the range has fewer rows.
const selectNthRow = `SELECT id FROM request_logs WHERE workspace_id = ? AND id >= ? AND id < ?
	ORDER BY id DESC LIMIT 1 OFFSET ?`

// selectRows selects the newest rows of a range that match, or may be in a block: they are not above the newest id of all
// blocks.
func selectRows(query logsvc.ViewQuery, ids logsvc.Range, newest uuid.UUID) (string, []any) {
	var where conditions
	where.add("workspace_id = ? AND id >= ? AND id < ?", query.WorkspaceID, ids.From[:], ids.To[:])
	if match := matching(query.Filter); len(match.terms) > 0 {
		where.add("(id <= ? OR "+match.sql()+")", append([]any{newest[:]}, match.args...)...)
	}
	statement := `SELECT ` + columns + ` FROM request_logs WHERE ` + where.sql() + ` ORDER BY id DESC LIMIT ?`
	return statement, append(where.args, query.Rows)
}

const selectNewestSealed = `SELECT last_id FROM request_log_blocks WHERE workspace_id = ? ORDER BY first_id DESC LIMIT 1`

// newestSealed returns the highest id of all blocks of the workspace, the nil UUID if there are none.
func newestSealed(ctx context.Context, tx *sql.Tx, workspaceID string) (uuid.UUID, error) {
	return selectID(ctx, tx, uuid.Nil, selectNewestSealed, workspaceID)
}

// selectBlocks begins at the one block that can begin below the range and reach into it: blocks do not overlap. Without that,
// it would read all older blocks.
const selectBlocks = `SELECT block_id, first_id, last_id, rows, summary FROM request_log_blocks
	WHERE workspace_id = ?1 AND last_id >= ?2 AND first_id < ?3 AND ?2 < ?3
	AND first_id >= coalesce((SELECT first_id FROM request_log_blocks
		WHERE workspace_id = ?1 AND first_id <= ?2 ORDER BY first_id DESC LIMIT 1), ?2)
	ORDER BY first_id DESC LIMIT ?4`

// viewOfBlocks returns what View returns of blocks.
func viewOfBlocks(ctx context.Context, tx *sql.Tx, query logsvc.ViewQuery) ([]logsvc.Block, uuid.UUID, error) {
	from := query.Range.From
	rows, err := tx.QueryContext(ctx, selectBlocks, query.WorkspaceID, from[:], query.Range.To[:], query.Blocks)
	if err != nil {
		return nil, uuid.Nil, err
	}
	defer rows.Close()
	var blocks []logsvc.Block
	for rows.Next() {
		var b logsvc.Block
		if err := rows.Scan(&b.ID, &b.First, &b.Last, &b.Rows, &b.Summary); err != nil {
			return nil, uuid.Nil, err
		}
		blocks = append(blocks, b)
	}
	if len(blocks) == query.Blocks && query.Range.Contains(blocks[len(blocks)-1].First) {
		from = blocks[len(blocks)-1].First
	}
	return blocks, from, rows.Err()
}

const selectPart = `SELECT substr(data, ?, ?) FROM request_log_blocks
	WHERE workspace_id = ? AND first_id = ? AND block_id = ?`

// Read implements logsvc.Store.
func (s *Store) Read(ctx context.Context, workspaceID string, parts []logsvc.Part) ([][]byte, error) {
	data := make([][]byte, len(parts))
	err := s.snapshot(ctx, func(tx *sql.Tx) error {
		stmt, err := tx.PrepareContext(ctx, selectPart)
		if err != nil {
			return err
		}
		defer stmt.Close()
		for i, part := range parts {
			row := stmt.QueryRowContext(ctx, part.Offset+1, part.Length, workspaceID, part.First[:], part.ID[:])
			err := row.Scan(&data[i])
			if errors.Is(err, sql.ErrNoRows) {
				err = logsvc.ErrBlockGone
			}
			if err != nil {
				return fmt.Errorf("block %s: %w", part.ID, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read sealed request logs of %s: %w", workspaceID, err)
	}
	return data, nil
}
