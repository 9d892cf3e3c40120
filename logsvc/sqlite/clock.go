package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// clockStep is how far the highest time that is stored may be behind the clock, so that it is stored once a minute. It is also
// how far the clock may be behind the highest time.
const clockStep = time.Minute

const (
	selectHighest = `SELECT highest_ms FROM request_log_clock`
	raiseHighest  = `INSERT INTO request_log_clock (one, highest_ms) VALUES (1, ?)
		ON CONFLICT (one) DO UPDATE SET highest_ms = max(highest_ms, excluded.highest_ms)`
	setHighest = `INSERT INTO request_log_clock (one, highest_ms) VALUES (1, ?)
		ON CONFLICT (one) DO UPDATE SET highest_ms = excluded.highest_ms`
)

// Time is logsvc.ReadTime. The clock of the file is that of this machine, except that it does not go back: if that of this
// machine is more than a minute behind the highest time that was seen, also by an earlier process, Time returns the highest
// time.
func (s *Store) Time(ctx context.Context, local time.Time) (time.Time, error) {
	var highest int64
	err := s.db.Read.QueryRowContext(ctx, selectHighest).Scan(&highest)
	seen := time.UnixMilli(highest)
	switch {
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return time.Time{}, fmt.Errorf("read the highest time of the request logs: %w", err)
	case local.Before(seen.Add(-clockStep)):
		return seen, nil
	case local.After(seen.Add(clockStep)):
		if _, err := s.db.Write.ExecContext(ctx, raiseHighest, local.UnixMilli()); err != nil {
			return time.Time{}, fmt.Errorf("store the highest time of the request logs: %w", err)
		}
	}
	return local, nil
}

// SetTime makes a time the highest that was seen, also if it is lower than it was.
func (s *Store) SetTime(ctx context.Context, to time.Time) error {
	if _, err := s.db.Write.ExecContext(ctx, setHighest, to.UnixMilli()); err != nil {
		return fmt.Errorf("set the highest time of the request logs: %w", err)
	}
	return nil
}
