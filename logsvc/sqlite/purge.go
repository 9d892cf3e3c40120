package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
)

const (
	purgeRows = `DELETE FROM request_logs WHERE workspace_id = ?1 AND id IN
		(SELECT id FROM request_logs WHERE workspace_id = ?1 AND id <= ?2 ORDER BY id LIMIT ?3)`
	// selectOldestBlock is selectOldest for blocks, each of which lies within one UTC day.
	selectOldestBlock = `SELECT first_id FROM request_log_blocks WHERE workspace_id = ? AND first_id >= ? AND first_id < ?
		ORDER BY first_id LIMIT 1`
	expireRows = `DELETE FROM request_logs WHERE workspace_id = ?1 AND id IN
		(SELECT id FROM request_logs WHERE workspace_id = ?1 AND id < ?2 ORDER BY id LIMIT ?3)`
	// expireBlocks leaves the block in which before lies. The bound on first_id ends the walk there.
	expireBlocks = `DELETE FROM request_log_blocks WHERE rowid IN
		(SELECT rowid FROM request_log_blocks WHERE workspace_id = ?1 AND first_id < ?2 AND last_id < ?2
		ORDER BY first_id LIMIT ?3)`
)

// PurgeRecent implements logsvc.Store.
func (s *Store) PurgeRecent(ctx context.Context, workspaceID string, upTo uuid.UUID) (purged int64, more bool, err error) {
	purged, err = s.deleteChunk(ctx, purgeRows, workspaceID, upTo, s.deleteRows)
	if err != nil {
		return 0, true, fmt.Errorf("purge request logs of %s: %w", workspaceID, err)
	}
	return purged, purged == int64(s.deleteRows), nil
}

// Expire implements logsvc.Store. It is exact for rows, also within a day. If there are days to delete, all days count that have
// ended since the last Expire: a clock that jumps ahead could otherwise delete all of a file that is two days old.
func (s *Store) Expire(ctx context.Context, before uuid.UUID, maxDays int) (days int, err error) {
	if days, err = s.endedDays(ctx, before); err == nil && days <= maxDays {
		err = s.eachWorkspace(ctx, func(workspaceID string) error { return s.expire(ctx, workspaceID, before) })
		if err == nil {
			_, err = s.db.Write.ExecContext(ctx, setTime, expired, uuid7.Time(before).UnixMilli())
		}
	}
	if err != nil {
		return days, fmt.Errorf("expire request logs: %w", err)
	}
	return days, nil
}

// eachWorkspace goes from one workspace to the next along the primary key, so that no index on the id alone is needed.
func (s *Store) eachWorkspace(ctx context.Context, do func(workspaceID string) error) error {
	for workspaceID := ""; ; {
		var err error
		if workspaceID, err = s.NextWorkspace(ctx, workspaceID); err != nil || workspaceID == "" {
			return err
		}
		if err := do(workspaceID); err != nil {
			return err
		}
	}
}

// endedDays returns how many UTC days have ended before an id since the last Expire, or if that is more, how many that have ended
// have rows or blocks; 0 if none has.
func (s *Store) endedDays(ctx context.Context, before uuid.UUID) (int, error) {
	since, err := s.time(ctx, expired)
	if err != nil {
		return 0, err
	}
	days, err := s.storedDays(ctx, before)
	if err != nil {
		return 0, err
	}
	if days > 0 && since.UnixMilli() > 0 {
		days = max(days, int(uuid7.Time(before).Truncate(day).Sub(since.UTC().Truncate(day))/day))
	}
	return days, nil
}

// storedDays returns how many UTC days that have ended before an id have rows or blocks. It looks at the lowest id of each day.
func (s *Store) storedDays(ctx context.Context, before uuid.UUID) (int, error) {
	days, end := map[time.Time]bool{}, uuid7.First(uuid7.Time(before).Truncate(day))
	err := s.eachWorkspace(ctx, func(workspaceID string) error {
		for _, lowest := range []string{selectOldest, selectOldestBlock} {
			for from := uuid.Nil; ; {
				id, err := selectID(ctx, s.db.Read, uuid.Nil, lowest, workspaceID, from[:], end[:])
				if err != nil {
					return err
				}
				if id == uuid.Nil {
					break
				}
				start := uuid7.Time(id).Truncate(day)
				days[start], from = true, uuid7.First(start.Add(day))
			}
		}
		return nil
	})
	return len(days), err
}

func (s *Store) expire(ctx context.Context, workspaceID string, before uuid.UUID) error {
	for _, chunk := range []struct {
		statement string
		size      int
	}{{expireRows, s.deleteRows}, {expireBlocks, s.deleteBlocks}} {
		for {
			deleted, err := s.deleteChunk(ctx, chunk.statement, workspaceID, before, chunk.size)
			if err != nil {
				return err
			}
			if deleted == 0 {
				break
			}
		}
	}
	return nil
}

// deleteChunk deletes in a transaction of its own, so that other writers get a turn before the next.
func (s *Store) deleteChunk(ctx context.Context, statement, workspaceID string, bound uuid.UUID, size int) (int64, error) {
	return affected(s.db.Write.ExecContext(ctx, statement, workspaceID, bound[:], size))
}
