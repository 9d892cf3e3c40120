package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/keytrail/keytrail/internal/pgdb"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

// Oldest implements logsvc.Store.
func (s *Store) Oldest(ctx context.Context, workspaceID string, ids logsvc.Range, limit int) (entries []logsvc.Entry, err error) {
	rows, _ := s.pool.Query(ctx, `SELECT `+columns+` FROM request_logs
		WHERE workspace_id = $1 AND id >= $2 AND id < $3 ORDER BY id LIMIT $4`,
		workspaceID, pgUUID(ids.From), pgUUID(ids.To), limit) // an error is returned by ForEachRow too
	var r row
	_, err = pgx.ForEachRow(rows, r.columns(), func() error {
		entries = append(entries, r.entry(workspaceID))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the oldest request logs of %s: %w", workspaceID, pgdb.Unavailable(ctx, err))
	}
	return entries, nil
}

// Backlog implements logsvc.Store. It counts each day by itself, so that no row's day has to be computed.
func (s *Store) Backlog(ctx context.Context, before uuid.UUID, minRows int) ([]logsvc.Backlog, error) {
	days, err := attached(ctx, s.pool, rowsTable)
	if err != nil {
		return nil, fmt.Errorf("list days to seal: %w", pgdb.Unavailable(ctx, err))
	}
	var all []logsvc.Backlog
	for _, p := range days {
		to := (p.day + 1).bound()
		if below(before, to) {
			to = before
		}
		if !below(p.bound(), to) {
			continue
		}
		rows, _ := s.pool.Query(ctx, `SELECT workspace_id, count(*) FROM request_logs WHERE id >= $1 AND id < $2
			GROUP BY workspace_id HAVING count(*) >= $3`, pgUUID(p.bound()), pgUUID(to), minRows)
		b := logsvc.Backlog{Day: p.start()}
		_, err := pgx.ForEachRow(rows, []any{&b.WorkspaceID, &b.Rows}, func() error {
			all = append(all, b)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("count the rows to seal: %w", pgdb.Unavailable(ctx, err))
		}
	}
	return all, nil
}

// NextWorkspace implements logsvc.Store.
func (s *Store) NextWorkspace(ctx context.Context, after string) (next string, err error) {
	err = s.readers.QueryRow(ctx, `SELECT coalesce(min(workspace_id), '') FROM (
		SELECT min(workspace_id) AS workspace_id FROM request_logs WHERE workspace_id > $1
		UNION ALL SELECT min(workspace_id) FROM request_log_blocks WHERE workspace_id > $1) both_tables`, after).Scan(&next)
	if err != nil {
		return "", fmt.Errorf("look for the workspace after %q: %w", after, pgdb.Unavailable(ctx, err))
	}
	return next, nil
}

const (
	// deleteRows deletes rows that are as they were read: every Merge that changes a row changes one of the four values.
	deleteRows = `
		DELETE FROM request_logs t
		USING unnest($4::uuid[], $5::boolean[], $6::boolean[], $7::boolean[], $8::integer[])
			r (id, in_progress, reported, from_report, call_count)
		WHERE t.workspace_id = $1 AND t.id BETWEEN $2 AND $3 AND t.id = r.id AND (t.status = 0) = r.in_progress
			AND (t.latency_us IS NOT NULL) = r.reported AND t.from_report = r.from_report AND t.call_count = r.call_count`
	countRows = `
		SELECT count(*) FROM request_logs t JOIN unnest($4::uuid[]) r (id) ON t.id = r.id
		WHERE t.workspace_id = $1 AND t.id BETWEEN $2 AND $3`
	deleteBlocks = `
		DELETE FROM request_log_blocks t USING unnest($4::uuid[], $5::uuid[]) b (first_id, block_id)
		WHERE t.workspace_id = $1 AND t.first_id BETWEEN $2 AND $3 AND t.first_id = b.first_id AND t.block_id = b.block_id`
	// countOverlapping counts each block itself, too.
	countOverlapping = `
		SELECT count(*) FROM unnest($4::uuid[], $5::uuid[]) i (first_id, last_id)
		JOIN request_log_blocks b ON b.first_id <= i.last_id AND b.last_id >= i.first_id
		WHERE b.workspace_id = $1 AND b.first_id BETWEEN $2 AND $3`
	insertBlock = `
		INSERT INTO request_log_blocks (workspace_id, first_id, last_id, block_id, rows, summary, data)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`
)

// Replace implements logsvc.Store.
func (s *Store) Replace(ctx context.Context, workspaceID string, change logsvc.Change) error {
	days := daysOf(change.Insert, func(b logsvc.SealedBlock) uuid.UUID { return b.First })
	err := s.inDays(ctx, days, func(db db) error {
		return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error { return replace(ctx, tx, workspaceID, change) })
	})
	// unique_violation: another block begins with the same row, so that row has been sealed.
	if hasCode(err, "23505") {
		err = errors.Join(logsvc.ErrConflict, err)
	}
	if err != nil {
		return fmt.Errorf("replace rows and blocks of %s: %w", workspaceID, pgdb.Unavailable(ctx, err))
	}
	return nil
}

func replace(ctx context.Context, tx pgx.Tx, workspaceID string, change logsvc.Change) error {
	batch := &pgx.Batch{}
	var rows, blocks int64
	if len(change.Rows) > 0 {
		from, to := boundsOf(change.Rows, func(e logsvc.Entry) uuid.UUID { return e.ID })
		batch.Queue(deleteRows, workspaceID, from, to, idsOf(change.Rows),
			column(change.Rows, func(e logsvc.Entry) bool { return e.Status == 0 }),
			column(change.Rows, func(e logsvc.Entry) bool { return e.Reported }),
			column(change.Rows, func(e logsvc.Entry) bool { return e.FromReport }),
			column(change.Rows, func(e logsvc.Entry) int32 { return int32(e.CallCount) }),
		).Exec(counted(&rows))
	}
	if len(change.Delete) > 0 {
		from, to := boundsOf(change.Delete, func(b logsvc.Block) uuid.UUID { return b.First })
		batch.Queue(deleteBlocks, workspaceID, from, to,
			column(change.Delete, func(b logsvc.Block) pgtype.UUID { return pgUUID(b.First) }),
			column(change.Delete, func(b logsvc.Block) pgtype.UUID { return pgUUID(b.ID) }),
		).Exec(counted(&blocks))
	}
	for _, b := range change.Insert {
		batch.Queue(insertBlock, workspaceID, pgUUID(b.First), pgUUID(b.Last), pgUUID(b.ID), b.Rows, b.Summary, b.Data)
	}
	var overlapping int
	if len(change.Insert) > 0 {
		first, _ := boundsOf(change.Insert, func(b logsvc.SealedBlock) uuid.UUID { return b.First })
		_, last := boundsOf(change.Insert, func(b logsvc.SealedBlock) uuid.UUID { return b.Last })
		batch.Queue(countOverlapping, workspaceID, pgUUID(dayOf(uuid7.Time(first.Bytes)).bound()), last,
			column(change.Insert, func(b logsvc.SealedBlock) pgtype.UUID { return pgUUID(b.First) }),
			column(change.Insert, func(b logsvc.SealedBlock) pgtype.UUID { return pgUUID(b.Last) }),
		).QueryRow(func(row pgx.Row) error { return row.Scan(&overlapping) })
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	if blocks < int64(len(change.Delete)) || overlapping > len(change.Insert) {
		return logsvc.ErrConflict
	}
	return checkKept(ctx, tx, workspaceID, change.Rows, rows)
}

func counted(affected *int64) func(pgconn.CommandTag) error {
	return func(tag pgconn.CommandTag) error {
		*affected = tag.RowsAffected()
		return nil
	}
}

// checkKept returns an error unless all rows are there of which only so many were deleted. The others have changed.
func checkKept(ctx context.Context, tx pgx.Tx, workspaceID string, rows []logsvc.Entry, deleted int64) error {
	if deleted == int64(len(rows)) {
		return nil
	}
	from, to := boundsOf(rows, func(e logsvc.Entry) uuid.UUID { return e.ID })
	var kept int64
	err := tx.QueryRow(ctx, countRows, workspaceID, from, to, idsOf(rows)).Scan(&kept)
	if err == nil && deleted+kept < int64(len(rows)) {
		err = logsvc.ErrConflict
	}
	return err
}

func idsOf(entries []logsvc.Entry) pgtype.FlatArray[pgtype.UUID] {
	return column(entries, func(e logsvc.Entry) pgtype.UUID { return pgUUID(e.ID) })
}

// purgeChunk is how many rows one transaction of a purge deletes.
const purgeChunk = 10_000

// PurgeRecent implements logsvc.Store.
func (s *Store) PurgeRecent(ctx context.Context, workspaceID string, upTo uuid.UUID) (purged int64, more bool, err error) {
	tag, err := s.pool.Exec(ctx, `DELETE FROM request_logs WHERE workspace_id = $1 AND id <= $2 AND id >= coalesce(
		(SELECT id FROM request_logs WHERE workspace_id = $1 AND id <= $2 ORDER BY id DESC OFFSET $3 LIMIT 1), $4)`,
		workspaceID, pgUUID(upTo), purgeChunk-1, pgUUID(uuid.Nil))
	if err != nil {
		return 0, true, fmt.Errorf("purge request logs of %s: %w", workspaceID, pgdb.Unavailable(ctx, err))
	}
	return tag.RowsAffected(), tag.RowsAffected() == purgeChunk, nil
}
