package logsvc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
)

const (
	// DefaultRetention is the fixed rolling window.
	DefaultRetention = 30 * 24 * time.Hour
	// maxAhead is how far a row's clock may run ahead of this service's. Stores must be able to keep rows up to
	// that far in the future.
	maxAhead = 24 * time.Hour
)

// WindowAt returns the ids that are stored and shown at one moment: from the lowest id that is young enough, to the lowest
// that is too far in the future to be stored. A row is in the window until the millisecond in which it is as old as the
// retention.
func WindowAt(now time.Time, retention time.Duration) Range {
	return Range{
		From: uuid7.First(now.Add(-retention).Add(time.Millisecond)),
		To:   uuid7.First(now.Add(maxAhead)),
	}
}

func (s *Service) window() Range { return WindowAt(s.Now(), s.config.Retention) }

const (
	// purgeTime is how long one call of Purge works.
	purgeTime = 20 * time.Second
	// purgeMargin is how long before its caller's deadline Purge stops, so that the response still arrives.
	purgeMargin = time.Second
)

// Purged is what a call of Purge has done.
type Purged struct {
	// Rows is how many entries it has deleted, also with an error.
	Rows int64
	// Complete reports whether all entries before End that were there when it began are deleted.
	Complete bool
	// End is the end that was given, else the first millisecond after the entries that were there; zero if there were none.
	End time.Time
}

// Purge deletes the entries that a workspace has now and that are before end (zero: all of them), chunk by chunk, for a bounded
// time. If it is not complete, another call with Purged.End continues; it ends although entries arrive. Each call deletes one
// chunk at least, unless the workspace is being sealed all the time.
func (s *Service) Purge(ctx context.Context, workspaceID string, end time.Time) (p Purged, err error) {
	until := time.Now().Add(purgeTime)
	if deadline, ok := ctx.Deadline(); ok && deadline.Add(-purgeMargin).Before(until) {
		until = deadline.Add(-purgeMargin)
	}
	defer func() { s.purged.Add(p.Rows) }()
	newest, found, err := s.newest(ctx, workspaceID, TimeRange(time.Time{}, end))
	if err != nil || !found {
		return Purged{Complete: err == nil, End: end}, err
	}
	if p.End = end; end.IsZero() {
		p.End = uuid7.Time(newest).Add(time.Millisecond)
	}
	for {
		n, more, err := s.sealer.Purge(ctx, workspaceID, newest, until)
		p.Rows += n
		switch {
		case errors.Is(err, errLocked):
			return p, nil
		case err != nil:
			return p, fmt.Errorf("purge a workspace's request logs (%d are deleted): %w", p.Rows, err)
		case !more:
			p.Complete = true
			return p, nil
		case !time.Now().Before(until):
			return p, nil
		}
	}
}

// Purged returns how many entries have been purged since the start.
func (s *Service) Purged() int64 { return s.purged.Load() }

// newest returns the highest id of a workspace in a range. A purge up to it ends, although rows keep arriving.
func (s *Service) newest(ctx context.Context, workspaceID string, ids Range) (id uuid.UUID, found bool, err error) {
	page, err := s.searcher.List(ctx, Query{WorkspaceID: workspaceID, Range: ids, Limit: 1})
	if err != nil {
		return uuid.Nil, false, fmt.Errorf("find the newest request log of a workspace: %w", err)
	}
	if len(page.Entries) > 0 {
		id, found = page.Entries[0].ID, true
	}
	if len(page.Unreadable) > 0 { // a damaged block is purged, too
		id, found = higher(id, page.Unreadable[0].To), true
	}
	return id, found, nil
}

// maxExpiredDays is how many UTC days Expire deletes at once: yesterday's, and that of a day on which it failed. More have
// ended after an outage, or if the retention or a clock is wrong, which only a person can tell apart.
const maxExpiredDays = 2

// Expire deletes what is older than the retention. It deletes nothing and returns an error while the clocks of this machine and
// of the store are apart, or if more than two UTC days have ended.
func (s *Service) Expire(ctx context.Context) error {
	days, err := s.expire(ctx, maxExpiredDays)
	switch {
	case days > maxExpiredDays:
		s.unconfirmed.Store(int64(days))
		err = errors.Join(err, fmt.Errorf("%d days of request logs are older than the retention of %v: they are hidden, and only "+
			"deleted after `keytrail logs expire --confirm-days=%d`", days, s.config.Retention, days))
	case err == nil || days > 0: // with an error, 0 may mean that they were not counted
		s.unconfirmed.Store(0)
	}
	return err
}

// ExpireConfirmed deletes what is older than the retention if it is this number of UTC days. A day that cannot be deleted does not
// hold up the others, but is an error.
func (s *Service) ExpireConfirmed(ctx context.Context, days int) error {
	found, err := s.expire(ctx, 0)
	if found == days {
		found, err = s.expire(ctx, days) // deletes nothing if another day has ended meanwhile; tries again what has failed
	}
	if found != days && (err == nil || found > 0) {
		err = errors.Join(err, fmt.Errorf("%d days of request logs are older than the retention of %v, not %d: nothing is deleted",
			found, s.config.Retention, days))
	}
	return err
}

// expire deletes what is older than the retention unless that is more than maxDays, and returns how many days it is, also with
// an error once they are counted.
func (s *Service) expire(ctx context.Context, maxDays int) (days int, err error) {
	if err := s.clock.update(ctx); err != nil {
		return 0, err
	}
	if err := s.clock.check(); err != nil {
		return 0, err
	}
	if days, err = s.store.Expire(ctx, s.window().From, maxDays); err != nil {
		return days, fmt.Errorf("expire old request logs: %w", err)
	}
	return days, nil
}

// Unconfirmed returns how many UTC days the latest Expire has not deleted because they are too many.
func (s *Service) Unconfirmed() int64 { return s.unconfirmed.Load() }

const (
	// expireInterval can be long: reads leave out every row that is too old.
	expireInterval = 24 * time.Hour
	// sealInterval is short enough for a workspace with many rows, and long enough for the count of rows before each pass.
	sealInterval = 5 * time.Minute
	// retryInterval is the delay after a failed attempt.
	retryInterval = time.Minute
)

// ExpireDaily calls Expire at once and then every day until ctx is done. It passes errors to onError, and retries.
func (s *Service) ExpireDaily(ctx context.Context, onError func(error)) {
	repeat(ctx, expireInterval, s.Expire, onError)
}

// SealPeriodically seals at once and then every 5 minutes until ctx is done. It passes errors to onError, and retries.
func (s *Service) SealPeriodically(ctx context.Context, onError func(error)) {
	repeat(ctx, sealInterval, s.Seal, onError)
}

// Seal makes one pass of the Sealer. Calls must not overlap.
func (s *Service) Seal(ctx context.Context) error {
	if err := s.sealer.Seal(ctx); err != nil {
		return err
	}
	s.sealed.Store(s.config.Now().Unix())
	return nil
}

// Sealed returns when Seal last succeeded, in Unix seconds; 0 = not since the start.
func (s *Service) Sealed() int64 { return s.sealed.Load() }

func repeat(ctx context.Context, interval time.Duration, do func(context.Context) error, onError func(error)) {
	for {
		delay := interval
		if err := do(ctx); err != nil && ctx.Err() == nil {
			onError(err)
			delay = min(interval, retryInterval)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(delay):
		}
	}
}
