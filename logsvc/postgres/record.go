package postgres

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/keytrail/keytrail/internal/pgdb"
	"github.com/keytrail/keytrail/logsvc"
)

const (
	// outranks is the order of logsvc.Merge: whether the new row knows more about the end of the call than the stored one.
	outranks = `(excluded.status <> 0 AND (t.status = 0 OR excluded.latency_us IS NOT NULL AND t.latency_us IS NULL))`
	// describes is whether the new row describes the call better: it was made by a check, and the stored one was not.
	describes = `(t.from_report AND NOT excluded.from_report)`
	// rowColumns is the order of columnsOf and appendRow.
	rowColumns = `id, key_id, latency_us, call_count, status, from_report, workspace_id, endpoint, error_code, agent_type, agent_id,
		method, cause, key_name, key_last4, external_id`
)

// upsert stores a batch in one statement, and merges as logsvc.Merge does. The arrays are unnested in the select list: in
// FROM they would be written to a temporary file first.
var upsert = `
	INSERT INTO request_logs AS t (` + rowColumns + `)
	SELECT unnest($1::uuid[]), unnest($2::uuid[]), unnest($3::bigint[]), unnest($4::integer[]), unnest($5::smallint[]),
		unnest($6::boolean[]), unnest($7::text[]), unnest($8::text[]), unnest($9::text[]), unnest($10::text[]),
		unnest($11::text[]), unnest($12::text[]), unnest($13::text[]), unnest($14::text[]), unnest($15::text[]), unnest($16::text[])
	ON CONFLICT (workspace_id, id) DO UPDATE SET
		` + newWhere(outranks, "status", "error_code", "cause", "latency_us") + `,
		` + newWhere(describes, "key_id", "key_name", "key_last4", "external_id", "agent_type", "agent_id", "method", "endpoint",
	"from_report") + `,
		call_count = greatest(t.call_count, excluded.call_count)
		WHERE ` + outranks + ` OR ` + describes + ` OR excluded.call_count > t.call_count`

// newWhere sets columns to those of the new row where a condition holds.
func newWhere(condition string, columns ...string) string {
	var set []string
	for _, c := range columns {
		set = append(set, fmt.Sprintf("%[1]s = CASE WHEN %[2]s THEN excluded.%[1]s ELSE t.%[1]s END", c, condition))
	}
	return strings.Join(set, ", ")
}

// Record implements logsvc.Store.
func (s *Store) Record(ctx context.Context, entries []logsvc.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	merged := mergeBatch(entries)
	days := daysOf(merged, func(e *logsvc.Entry) uuid.UUID { return e.ID })
	err := s.inDays(ctx, days, func(db db) error { return s.store(ctx, db, merged) })
	if err == nil {
		err = s.announce(ctx, entries)
	}
	if err != nil {
		return fmt.Errorf("record %d request logs: %w", len(entries), pgdb.Unavailable(ctx, err))
	}
	return nil
}

func merge(ctx context.Context, db db, entries []*logsvc.Entry) error {
	_, err := db.Exec(ctx, upsert, columnsOf(entries)...)
	return err
}

// columnsOf returns one array per column, in the order of rowColumns.
func columnsOf(entries []*logsvc.Entry) []any {
	type entry = *logsvc.Entry
	return []any{
		column(entries, func(e entry) pgtype.UUID { return pgUUID(e.ID) }),
		column(entries, func(e entry) pgtype.UUID { return pgUUID(e.KeyID) }),
		column(entries, func(e entry) pgtype.Int8 {
			return pgtype.Int8{Int64: e.Latency.Microseconds(), Valid: e.Reported}
		}),
		column(entries, func(e entry) int32 { return int32(e.CallCount) }),
		column(entries, func(e entry) int16 { return int16(e.Status) }),
		column(entries, func(e entry) bool { return e.FromReport }),
		column(entries, func(e entry) string { return e.WorkspaceID }),
		column(entries, func(e entry) string { return e.Endpoint }),
		column(entries, func(e entry) string { return e.ErrorCode }),
		column(entries, func(e entry) string { return e.AgentType }),
		column(entries, func(e entry) string { return e.AgentID }),
		column(entries, func(e entry) string { return e.Method }),
		column(entries, func(e entry) string { return e.Cause }),
		column(entries, func(e entry) string { return e.KeyName }),
		column(entries, func(e entry) string { return e.KeyLast4 }),
		column(entries, func(e entry) string { return e.ExternalID }),
	}
}

// column returns one value of each row.
func column[Row, Value any](rows []Row, value func(Row) Value) pgtype.FlatArray[Value] {
	values := make(pgtype.FlatArray[Value], len(rows))
	for i := range rows {
		values[i] = value(rows[i])
	}
	return values
}

func pgUUID(id uuid.UUID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: true} }

// mergeBatch sorts the batch by (workspace, id), the order in which merge takes its locks on every replica, and merges the
// entries of one id: one statement cannot update a row twice.
func mergeBatch(entries []logsvc.Entry) []*logsvc.Entry {
	sorted := make([]*logsvc.Entry, len(entries))
	for i := range entries {
		sorted[i] = &entries[i]
	}
	slices.SortStableFunc(sorted, func(a, b *logsvc.Entry) int {
		return cmp.Or(strings.Compare(a.WorkspaceID, b.WorkspaceID), bytes.Compare(a.ID[:], b.ID[:]))
	})
	merged := sorted[:0]
	for _, e := range sorted {
		last := len(merged) - 1
		if last < 0 || merged[last].ID != e.ID || merged[last].WorkspaceID != e.WorkspaceID {
			merged = append(merged, e)
			continue
		}
		merged[last] = new(logsvc.Merge(*merged[last], *e))
	}
	return merged
}
