package postgres

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// ahead is how many days from today are made before they come: rows may be a day in the future.
	ahead = 2
	// keepEvery is how often the layout is looked after. An hour's endpoints are indexed when the hour is over, so
	// that what a search has to walk without an index is about an hour of rows.
	keepEvery = time.Hour
	// settle is how long after an hour's end its index is made: by then most of its rows have arrived.
	settle = 2 * time.Minute
)

// Keep looks after the layout until ctx ends: it makes days ahead and indexes endpoints. It logs what fails, and each
// time the foreign partitions.
func (s *Store) Keep(ctx context.Context, log *slog.Logger) {
	for {
		err := errors.Join(s.warnOfForeign(ctx, log), s.Upkeep(ctx))
		if err != nil && ctx.Err() == nil {
			log.Error("the days of request logs are not looked after", "error", err)
		}
		now := s.now()
		// Some chance, so that replicas do not come all at once.
		timer := time.NewTimer(now.Truncate(keepEvery).Add(keepEvery + settle + rand.N(settle)).Sub(now))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// warnOfForeign logs each partition that this store has not made.
func (s *Store) warnOfForeign(ctx context.Context, log *slog.Logger) error {
	_, foreign, err := partitions(ctx, s.pool)
	for _, table := range foreign {
		log.Warn("a partition of request_logs was not made by this service and is left alone: its rows are not listed, purged "+
			"or expired, and no day that it overlaps can be made", "table", table)
	}
	return err
}

// Upkeep makes the days ahead, and the trigram indexes of all hours that are over. It leaves the indexes to another
// replica that is at it already.
func (s *Store) Upkeep(ctx context.Context) error {
	made := s.makeAhead(ctx)
	defer s.indexes.forget()
	_, err := s.tryLock(ctx, indexLock, func(conn *pgxpool.Conn) error {
		// Nobody queues behind what is made concurrently, and it waits for every older transaction.
		if _, err := conn.Exec(ctx, "SET lock_timeout = 0"); err != nil {
			return err
		}
		days, err := storedDays(ctx, conn)
		if err != nil {
			return err
		}
		// What went wrong with one day is not to hold up the others.
		var errs []error
		for _, d := range days {
			to := fullHours(d.day, s.now().Add(-settle))
			if !d.detaching && to.After(d.start()) {
				errs = append(errs, index(ctx, conn, d.day, to))
			}
		}
		return errors.Join(errs...)
	})
	return errors.Join(made, err)
}

// makeAhead makes the days that rows may be of from now on. One that cannot be made does not hold up the others.
func (s *Store) makeAhead(ctx context.Context) error {
	today := dayOf(s.now())
	var errs []error
	for d := today - 1; d <= today+ahead; d++ {
		errs = append(errs, s.make(ctx, d))
	}
	return errors.Join(errs...)
}

// fullHours is the moment up to which a day can be indexed: the last full hour, at most the day's end.
func fullHours(d day, now time.Time) time.Time {
	if to := now.UTC().Truncate(time.Hour); to.Before(d.end()) {
		return to
	}
	return d.end()
}
