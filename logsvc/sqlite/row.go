package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
)

// columns are in the order of values and scan.
const columns = `workspace_id, id, key_id, key_name, key_last4, external_id, agent_type, agent_id, method, endpoint,
	status, error_code, cause, latency_us, call_count, from_report`

func values(e logsvc.Entry) []any {
	return []any{
		e.WorkspaceID, e.ID[:], nullable(e.KeyID), e.KeyName, e.KeyLast4, e.ExternalID, e.AgentType, e.AgentID, e.Method,
		e.Endpoint, e.Status, e.ErrorCode, e.Cause, sql.NullInt64{Int64: e.Latency.Microseconds(), Valid: e.Reported},
		e.CallCount, e.FromReport,
	}
}

func nullable(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return id[:]
}

// scan reads a row that holds columns. A NULL leaves the key id zero.
func scan(row interface{ Scan(...any) error }) (e logsvc.Entry, err error) {
	var micros sql.NullInt64
	err = row.Scan(&e.WorkspaceID, &e.ID, &e.KeyID, &e.KeyName, &e.KeyLast4, &e.ExternalID, &e.AgentType, &e.AgentID,
		&e.Method, &e.Endpoint, &e.Status, &e.ErrorCode, &e.Cause, &micros, &e.CallCount, &e.FromReport)
	e.Latency, e.Reported = time.Duration(micros.Int64)*time.Microsecond, micros.Valid
	return e, err
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, statement string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, statement string, args ...any) *sql.Row
}

// entries returns all rows of a statement that selects columns.
func entries(ctx context.Context, db querier, statement string, args ...any) ([]logsvc.Entry, error) {
	rows, err := db.QueryContext(ctx, statement, args...)
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

// selectID returns the id that a statement selects, or another one if it selects nothing.
func selectID(ctx context.Context, db querier, otherwise uuid.UUID, statement string, args ...any) (uuid.UUID, error) {
	id := otherwise
	err := db.QueryRowContext(ctx, statement, args...).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return otherwise, nil
	}
	return id, err
}
