package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/block"
)

const selectCounted = `SELECT id, key_id, key_name, key_last4, status, error_code, latency_us, call_count FROM request_logs
	WHERE workspace_id = ? AND id >= ? AND id < ? AND id > ?`

// Tally implements logsvc.Store. SQLite would not count faster: it sorts the rows to group them.
func (s *Store) Tally(
	ctx context.Context, workspaceID string, ids logsvc.Range, add func(block.Group),
) (above uuid.UUID, err error) {
	err = s.snapshot(ctx, func(tx *sql.Tx) (err error) {
		if above, err = newestSealed(ctx, tx, workspaceID); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, selectCounted, workspaceID, ids.From[:], ids.To[:], above[:])
		if err != nil {
			return err
		}
		return addGroups(rows, add)
	})
	if err != nil {
		return uuid.Nil, fmt.Errorf("count unsealed request logs of %s: %w", workspaceID, err)
	}
	return above, nil
}

// addGroups adds each row of selectCounted.
func addGroups(rows *sql.Rows, add func(block.Group)) error {
	defer rows.Close()
	for rows.Next() {
		var e logsvc.Entry
		var micros sql.NullInt64
		if err := rows.Scan(&e.ID, &e.KeyID, &e.KeyName, &e.KeyLast4, &e.Status, &e.ErrorCode, &micros, &e.CallCount); err != nil {
			return err
		}
		e.Latency, e.Reported = time.Duration(micros.Int64)*time.Microsecond, micros.Valid
		add(block.GroupOf(&e))
	}
	return rows.Err()
}
