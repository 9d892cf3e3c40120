package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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

// Get implements logsvc.Store.
func (s *Store) Get(ctx context.Context, workspaceID string, id uuid.UUID) (logsvc.Entry, bool, error) {
	entry, err := scan(s.db.Read.QueryRowContext(ctx,
		`SELECT `+columns+` FROM request_logs WHERE workspace_id = ? AND id = ?`, workspaceID, id[:]))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return logsvc.Entry{}, false, nil
	case err != nil:
		return logsvc.Entry{}, false, fmt.Errorf("get request log %s of %s: %w", id, workspaceID, err)
	}
	return entry, true, nil
}
