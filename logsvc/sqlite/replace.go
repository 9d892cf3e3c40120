package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/keytrail/keytrail/logsvc"
)

// Replace implements logsvc.Store.
func (s *Store) Replace(ctx context.Context, workspaceID string, change logsvc.Change) error {
	if err := s.replace(ctx, workspaceID, change); err != nil {
		return fmt.Errorf("replace request logs of %s: %w", workspaceID, err)
	}
	return nil
}

func (s *Store) replace(ctx context.Context, workspaceID string, change logsvc.Change) error {
	tx, err := s.db.Write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := deleteUnchanged(ctx, tx, workspaceID, change.Rows); err != nil {
		return err
	}
	for _, b := range change.Delete {
		deleted, err := affected(tx.ExecContext(ctx, deleteBlock, workspaceID, b.First[:], b.ID[:]))
		if err == nil && deleted == 0 {
			err = logsvc.ErrConflict
		}
		if err != nil {
			return fmt.Errorf("delete block %s: %w", b.ID, err)
		}
	}
	for _, b := range change.Insert {
		overlaps := false
		err := tx.QueryRowContext(ctx, selectOverlap, workspaceID, b.First[:], b.Last[:]).Scan(&overlaps)
		if err == nil && overlaps {
			err = logsvc.ErrConflict
		}
		if err == nil {
			_, err = tx.ExecContext(ctx, insertBlock, workspaceID, b.First[:], b.Last[:], b.ID[:], b.Rows, b.Summary, b.Data)
		}
		if err != nil {
			return fmt.Errorf("store block %s: %w", b.ID, err)
		}
	}
	return tx.Commit()
}

const (
	// deleteRow deletes a row as it was read. Every Merge that changes a row changes one of these: whether its call is in
	// progress, whether it has been reported, who described it, or its count.
	deleteRow = `DELETE FROM request_logs WHERE workspace_id = ? AND id = ?
		AND (status = 0) = ? AND (latency_us IS NOT NULL) = ? AND from_report = ? AND call_count = ?`
	selectRow   = `SELECT count(*) FROM request_logs WHERE workspace_id = ? AND id = ?`
	deleteBlock = `DELETE FROM request_log_blocks WHERE workspace_id = ? AND first_id = ? AND block_id = ?`
	insertBlock = `INSERT INTO request_log_blocks (workspace_id, first_id, last_id, block_id, rows, summary, data)
		VALUES (?, ?, ?, ?, ?, ?, ?)`
	// selectOverlap returns whether a stored block overlaps a range of ids. Stored blocks do not overlap, so that only the one
	// with the next lower first id can reach into it.
	selectOverlap = `SELECT EXISTS (SELECT 1 FROM (SELECT last_id FROM request_log_blocks WHERE workspace_id = ?1 AND first_id <= ?3
		ORDER BY first_id DESC LIMIT 1) WHERE last_id >= ?2)`
)

// deleteUnchanged deletes those rows that are as they were read. It returns ErrConflict if one is not there.
func deleteUnchanged(ctx context.Context, tx *sql.Tx, workspaceID string, rows []logsvc.Entry) error {
	stmt, err := tx.PrepareContext(ctx, deleteRow)
	if err != nil {
		return err
	}
	defer stmt.Close()
	for _, e := range rows {
		asRead := []any{workspaceID, e.ID[:], e.Status == 0, e.Reported, e.FromReport, e.CallCount}
		deleted, err := affected(stmt.ExecContext(ctx, asRead...))
		changed := int64(0)
		if err == nil && deleted == 0 {
			err = tx.QueryRowContext(ctx, selectRow, workspaceID, e.ID[:]).Scan(&changed)
		}
		if err == nil && deleted+changed == 0 {
			err = logsvc.ErrConflict
		}
		if err != nil {
			return fmt.Errorf("delete row %s: %w", e.ID, err)
		}
	}
	return nil
}

func affected(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
