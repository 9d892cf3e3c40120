package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/block"
)

const selectCounted = `SELECT id, key_id, status, error_code, latency_us, call_count FROM request_logs
	WHERE workspace_id = ? AND id >= ? AND id < ? AND id > ?`

// Tally implements logsvc.Store. SQLite would not count faster: it sorts the rows to group them.
func (s *Store) Tally(ctx context.Context, workspaceID string, ids logsvc.Range) (tally logsvc.Tally, err error) {
	err = s.snapshot(ctx, func(tx *sql.Tx) (err error) {
		if tally.Above, err = newestSealed(ctx, tx, workspaceID); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, selectCounted, workspaceID, ids.From[:], ids.To[:], tally.Above[:])
		if err != nil {
			return err
		}
		return add(&tally.Statistics, rows)
	})
	if err != nil {
		return logsvc.Tally{}, fmt.Errorf("count unsealed request logs of %s: %w", workspaceID, err)
	}
	return tally, nil
}

// add counts the rows of selectCounted.
func add(statistics *block.Statistics, rows *sql.Rows) error {
	defer rows.Close()
	for rows.Next() {
		var e logsvc.Entry
		var micros sql.NullInt64
		if err := rows.Scan(&e.ID, &e.KeyID, &e.Status, &e.ErrorCode, &micros, &e.CallCount); err != nil {
			return err
		}
		e.Latency, e.Reported = time.Duration(micros.Int64)*time.Microsecond, micros.Valid
		statistics.Add(block.GroupOf(&e))
	}
	return rows.Err()
}
