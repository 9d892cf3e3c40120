package postgres

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/keytrail/keytrail/internal/pgdb"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/block"
)

// defaultWalkTime suffices for ten times the rows that a workspace has before it is sealed.
const defaultWalkTime = 80 * time.Millisecond

const (
	columns = `id, key_id, latency_us, call_count, status, from_report, endpoint, error_code, agent_type, agent_id, method,
		cause, key_name, key_last4, external_id`
	// horizon is the highest id of all blocks of the workspace $1.
	horizon = `(SELECT last_id FROM request_log_blocks WHERE workspace_id = $1 ORDER BY first_id DESC LIMIT 1)`
)

// selectView selects rows and blocks in one snapshot; Citus has none for several statements. It also selects rows that need not
// match: those that are not above every block, and all from the moment on when the walk has taken $7 ms. So it ends soon after,
// at LIMIT. %s is the filter: conditions that select all would slow the walk down by a quarter.
const selectView = `
	(SELECT ` + columns + `, NULL::uuid AS last_id, NULL::bytea AS summary FROM request_logs
	WHERE workspace_id = $1 AND id >= $2 AND id < $3
		AND (%s OR id <= ` + horizon + ` OR clock_timestamp() > (SELECT statement_timestamp() + $7::integer * interval '1 ms'))
	ORDER BY id DESC LIMIT $4)
	UNION ALL
	(SELECT first_id, block_id, NULL, rows, 0, false, '', '', '', '', '', '', '', '', '', last_id, summary FROM request_log_blocks
	WHERE workspace_id = $1 AND first_id >= $6 AND first_id < $3 AND last_id >= $2
	ORDER BY first_id DESC LIMIT $5)`

// matching returns the condition of a filter, and the arguments with those that it needs.
func matching(f logsvc.Filter, args []any) (string, []any) {
	conditions := []string{"true"}
	add := func(given bool, condition string, arg any) {
		if given {
			args = append(args, arg)
			conditions = append(conditions, fmt.Sprintf(condition, len(args)))
		}
	}
	add(f.StatusClass != 0, "status / 100 = $%d", f.StatusClass)
	if f.InProgress {
		conditions = append(conditions, "status = 0")
	}
	add(f.Method != "", "method = $%d", f.Method)
	add(f.KeyID != uuid.Nil, "key_id = $%d", pgUUID(f.KeyID))
	add(f.ErrorCode != "", "error_code = $%d", f.ErrorCode)
	add(f.AgentType != "", "agent_type = $%d", f.AgentType)
	add(f.AgentID != "", "agent_id = $%d", f.AgentID)
	add(f.Endpoint != "", "strpos(lower(endpoint), $%d) > 0", block.Fold(f.Endpoint))
	return strings.Join(conditions, " AND "), args
}

// View implements logsvc.Store.
func (s *Store) View(ctx context.Context, query logsvc.ViewQuery) (logsvc.View, error) {
	return view(ctx, s.readers, query, s.walkTime)
}

func view(ctx context.Context, db db, query logsvc.ViewQuery, walkTime time.Duration) (logsvc.View, error) {
	view := logsvc.View{RowsFrom: query.Range.From, BlocksFrom: query.Range.From}
	// A block that begins before the range does so on the same day.
	blocksFrom := dayOf(uuid7.Time(query.Range.From)).bound()
	filter, args := matching(query.Filter, []any{query.WorkspaceID, pgUUID(query.Range.From), pgUUID(query.Range.To),
		query.Rows, query.Blocks, pgUUID(blocksFrom), walkTime.Milliseconds()})
	rows, _ := db.Query(ctx, fmt.Sprintf(selectView, filter), args...) // an error is returned by ForEachRow too
	var r row
	var last pgtype.UUID
	var summary []byte
	_, err := pgx.ForEachRow(rows, append(r.columns(), &last, &summary), func() error {
		if !last.Valid {
			view.Rows = append(view.Rows, r.entry(query.WorkspaceID))
			return nil
		}
		view.Blocks = append(view.Blocks, logsvc.Block{
			ID: r.keyID.Bytes, First: r.id.Bytes, Last: last.Bytes, Rows: r.CallCount, Summary: summary,
		})
		return nil
	})
	if err != nil {
		return logsvc.View{}, fmt.Errorf("view request logs of %s: %w", query.WorkspaceID, pgdb.Unavailable(ctx, err))
	}
	slices.SortFunc(view.Rows, func(a, b logsvc.Entry) int { return bytes.Compare(b.ID[:], a.ID[:]) })
	slices.SortFunc(view.Blocks, func(a, b logsvc.Block) int { return bytes.Compare(b.First[:], a.First[:]) })
	if len(view.Rows) == query.Rows {
		view.RowsFrom = view.Rows[query.Rows-1].ID
	}
	if len(view.Blocks) == query.Blocks && below(view.BlocksFrom, view.Blocks[query.Blocks-1].First) {
		view.BlocksFrom = view.Blocks[query.Blocks-1].First
	}
	return view, nil
}

// row is a row of request_logs as it is read.
type row struct {
	logsvc.Entry
	id, keyID pgtype.UUID
	micros    pgtype.Int8
}

// columns returns where the columns are scanned to.
func (r *row) columns() []any {
	return []any{&r.id, &r.keyID, &r.micros, &r.CallCount, &r.Status, &r.FromReport, &r.Endpoint, &r.ErrorCode, &r.AgentType,
		&r.AgentID, &r.Method, &r.Cause, &r.KeyName, &r.KeyLast4, &r.ExternalID}
}

func (r *row) entry(workspaceID string) logsvc.Entry {
	e := r.Entry
	e.WorkspaceID, e.ID, e.KeyID = workspaceID, r.id.Bytes, r.keyID.Bytes
	e.Latency, e.Reported = time.Duration(r.micros.Int64)*time.Microsecond, r.micros.Valid
	return e
}

// readParts reads from one day. Planning a statement on all of them takes longer than reading. The parts are not sorted: that
// would copy them.
const readParts = `
	SELECT part, substring(b.data FROM at + 1 FOR length)
	FROM unnest($2::integer[], $3::uuid[], $4::uuid[], $5::integer[], $6::integer[]) p (part, first, block, at, length)
	JOIN %s b ON b.workspace_id = $1 AND b.first_id = p.first AND b.block_id = p.block
	WHERE b.workspace_id = $1`

// Read implements logsvc.Store.
func (s *Store) Read(ctx context.Context, workspaceID string, parts []logsvc.Part) ([][]byte, error) {
	data, err := s.read(ctx, workspaceID, parts, func(d day) string { return partition{table: blocksTable, day: d}.String() })
	if hasCode(err, "42P01") { // undefined_table: the day has been dropped
		data, err = s.read(ctx, workspaceID, parts, func(day) string { return blocksTable })
	}
	if err != nil {
		return nil, fmt.Errorf("read blocks of %s: %w", workspaceID, pgdb.Unavailable(ctx, err))
	}
	return data, nil
}

func (s *Store) read(ctx context.Context, workspaceID string, parts []logsvc.Part, table func(day) string) ([][]byte, error) {
	data := make([][]byte, len(parts))
	found := 0
	batch := &pgx.Batch{}
	for _, d := range daysOf(parts, firstOf) {
		var ofDay []int32
		for i, p := range parts {
			if dayOf(uuid7.Time(p.First)) == d {
				ofDay = append(ofDay, int32(i))
			}
		}
		batch.Queue(fmt.Sprintf(readParts, table(d)), workspaceID, ofDay,
			column(ofDay, func(i int32) pgtype.UUID { return pgUUID(parts[i].First) }),
			column(ofDay, func(i int32) pgtype.UUID { return pgUUID(parts[i].ID) }),
			column(ofDay, func(i int32) int32 { return int32(parts[i].Offset) }),
			column(ofDay, func(i int32) int32 { return int32(parts[i].Length) }),
		).Query(func(rows pgx.Rows) error {
			var part int32
			var content []byte
			_, err := pgx.ForEachRow(rows, []any{&part, &content}, func() error {
				data[part] = content
				found++
				return nil
			})
			return err
		})
	}
	err := s.readers.SendBatch(ctx, batch).Close()
	if err == nil && found < len(parts) {
		err = logsvc.ErrBlockGone
	}
	return data, err
}

func firstOf(p logsvc.Part) uuid.UUID { return p.First }

// boundsOf returns the lowest and the highest id of items, of which there is one at least.
func boundsOf[T any](items []T, id func(T) uuid.UUID) (lowest, highest pgtype.UUID) {
	from, to := id(items[0]), id(items[0])
	for _, item := range items {
		switch i := id(item); {
		case below(i, from):
			from = i
		case below(to, i):
			to = i
		}
	}
	return pgUUID(from), pgUUID(to)
}
