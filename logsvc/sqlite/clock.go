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
	selectTime = `SELECT ms FROM request_log_times WHERE name = ?`
	raiseTime  = `INSERT INTO request_log_times (name, ms) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET ms = max(ms, excluded.ms)`
	setTime    = `INSERT INTO request_log_times (name, ms) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET ms = excluded.ms`
)

// The names of the times.
const (
	highest = "highest"
	expired = "expired"
)

// Time is logsvc.ReadTime. The clock of the file is that of this machine, except that it does not go back: if that of this
// machine is more than a minute behind the highest time that was seen, also by an earlier process, Time returns the highest
// time.
func (s *Store) Time(ctx context.Context, local time.Time) (time.Time, error) {
	seen, err := s.time(ctx, highest)
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf("read the highest time of the request logs: %w", err)
	case local.Before(seen.Add(-clockStep)):
		return seen, nil
	case local.After(seen.Add(clockStep)):
		if _, err := s.db.Write.ExecContext(ctx, raiseTime, highest, local.UnixMilli()); err != nil {
			return time.Time{}, fmt.Errorf("store the highest time of the request logs: %w", err)
		}
	}
	return local, nil
}

// time returns a time of the table, or the first moment of 1970.
func (s *Store) time(ctx context.Context, name string) (time.Time, error) {
	var ms int64
	err := s.db.Read.QueryRowContext(ctx, selectTime, name).Scan(&ms)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return time.UnixMilli(ms), err
}

// SetTime makes a time the highest that was seen, also if it is lower than it was.
func (s *Store) SetTime(ctx context.Context, to time.Time) error {
	if _, err := s.db.Write.ExecContext(ctx, setTime, highest, to.UnixMilli()); err != nil {
		return fmt.Errorf("set the highest time of the request logs: %w", err)
	}
	return nil
}
