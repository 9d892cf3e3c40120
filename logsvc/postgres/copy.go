package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/logsvc"
)

// copyRows copies rows that are new, at half of the cost of the upsert. Citus would open a connection for each shard, and commit
// in two phases on all of them, which took 8 times as long for 1,000 rows of 100 workspaces. Plain Postgres ignores the setting.
// The timeout ends deadlocks with other batches, whose rows are locked in another order.
const copyRows = `SET LOCAL lock_timeout = '50ms'; SET LOCAL citus.multi_shard_modify_mode = 'sequential';
	COPY request_logs (` + rowColumns + `) FROM STDIN (FORMAT binary)`

// copyPause is how long nothing is copied after a row was there already.
const copyPause = time.Minute

// store stores a batch that mergeBatch has returned. The first entry of a call is copied. Reports nearly always have a row, and
// so have rows that more calls share since they were stored: they are merged. If that fails, e.g. because the batch is sent
// again, all are merged, which also returns the true error: on Citus the code of every error of COPY is XX000. Then nothing is
// copied for a minute: with several auth services the report of a call often comes before its check.
func (s *Store) store(ctx context.Context, db db, entries []*logsvc.Entry) error {
	var first, later []*logsvc.Entry
	for _, e := range entries {
		if e.FromReport || e.CallCount > 1 {
			later = append(later, e)
		} else {
			first = append(first, e)
		}
	}
	if len(first) > 0 && time.Now().UnixNano() >= s.copyAfter.Load() {
		err := copyAndMerge(ctx, db, first, later)
		if err == nil || ctx.Err() != nil {
			return err
		}
		s.copyAfter.Store(time.Now().Add(copyPause).UnixNano())
	}
	return merge(ctx, db, entries)
}

// copyAndMerge stores all entries or none; it fails if one of the first has a row.
func copyAndMerge(ctx context.Context, db db, first, later []*logsvc.Entry) error {
	return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		// pgx.CopyFrom needs twice the time of this process.
		_, err := tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(encodeRows(first)), copyRows)
		if err != nil || len(later) == 0 {
			return err
		}
		return merge(ctx, tx, later)
	})
}

// encodeRows returns rows in the binary format of COPY.
func encodeRows(entries []*logsvc.Entry) []byte {
	const (
		header      = "PGCOPY\n\xff\r\n\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" // no flags, no extension
		trailer     = "\xff\xff"
		expectedRow = 300 // bytes
	)
	b := append(make([]byte, 0, expectedRow*len(entries)), header...)
	for _, e := range entries {
		b = appendRow(b, e)
	}
	return append(b, trailer...)
}

// appendRow appends the values of rowColumns, each with its length. The entry is not from a report.
func appendRow(b []byte, e *logsvc.Entry) []byte {
	texts := [...]string{e.WorkspaceID, e.Endpoint, e.ErrorCode, e.AgentType, e.AgentID, e.Method, e.Cause, e.KeyName, e.KeyLast4,
		e.ExternalID}
	b = binary.BigEndian.AppendUint16(b, uint16(6+len(texts)))
	b = append(appendLength(b, len(e.ID)), e.ID[:]...)
	b = append(appendLength(b, len(e.KeyID)), e.KeyID[:]...)
	if e.Reported {
		b = binary.BigEndian.AppendUint64(appendLength(b, 8), uint64(e.Latency.Microseconds()))
	} else {
		b = appendLength(b, -1) // NULL
	}
	b = binary.BigEndian.AppendUint32(appendLength(b, 4), uint32(e.CallCount))
	b = binary.BigEndian.AppendUint16(appendLength(b, 2), uint16(e.Status))
	b = append(appendLength(b, 1), 0)
	for _, s := range texts {
		b = append(appendLength(b, len(s)), s...)
	}
	return b
}

func appendLength(b []byte, n int) []byte { return binary.BigEndian.AppendUint32(b, uint32(n)) }
