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
	// daysAhead is how many days after today have a partition: rows may be a day in the future.
	daysAhead = 2
	// maintenanceInterval is short, because the endpoints of an hour are indexed when the hour is over, and a search has to
	// scan the rows that are not indexed.
	maintenanceInterval = time.Hour
	// indexDelay is how long after an hour's end its index is created: by then most of its rows have arrived.
	indexDelay = 2 * time.Minute
)

// RunMaintenance calls Maintain shortly after every full hour until ctx is done. It logs errors, and each time the unmanaged
// partitions.
func (s *Store) RunMaintenance(ctx context.Context, log *slog.Logger) {
	for {
		err := errors.Join(s.warnOfUnmanaged(ctx, log), s.Maintain(ctx))
		if err != nil && ctx.Err() == nil {
			log.Error("partition maintenance failed", "error", err)
		}
		now := s.now()
		// The jitter keeps replicas from starting at the same moment.
		next := now.Truncate(maintenanceInterval).Add(maintenanceInterval + indexDelay + rand.N(indexDelay))
		select {
		case <-ctx.Done():
			return
		case <-time.After(next.Sub(now)):
		}
	}
}

// warnOfUnmanaged logs each partition that this service has not created.
func (s *Store) warnOfUnmanaged(ctx context.Context, log *slog.Logger) error {
	_, unmanaged, err := listPartitions(ctx, s.pool)
	for _, table := range unmanaged {
		log.Warn("partition of request_logs was not created by this service: its rows are not listed, purged or expired, "+
			"and no partition can be created for days that it overlaps", "table", table)
	}
	return err
}

// Maintain creates the partitions of the next days, and the trigram indexes of all hours that are over. It leaves the indexes
// to another replica that is creating them.
func (s *Store) Maintain(ctx context.Context) error {
	createErr := s.createUpcoming(ctx)
	defer s.indexes.forget()
	_, err := s.tryLock(ctx, indexLock, func(conn *pgxpool.Conn) error {
		// CREATE INDEX CONCURRENTLY blocks no other session, and waits for every older transaction.
		if _, err := conn.Exec(ctx, "SET lock_timeout = 0"); err != nil {
			return err
		}
		days, _, err := listPartitions(ctx, conn)
		if err != nil {
			return err
		}
		// An error of one day must not hold up the others.
		var errs []error
		for _, d := range days {
			to := fullHours(d.day, s.now().Add(-indexDelay))
			if !d.detaching && to.After(d.start()) {
				errs = append(errs, index(ctx, conn, d.day, to))
			}
		}
		return errors.Join(errs...)
	})
	return errors.Join(createErr, err)
}

// createUpcoming creates the partitions of yesterday to daysAhead days from now. An error of one day does not hold up the
// others.
func (s *Store) createUpcoming(ctx context.Context) error {
	today := dayOf(s.now())
	var errs []error
	for d := today - 1; d <= today+daysAhead; d++ {
		errs = append(errs, s.createPartition(ctx, d))
	}
	return errors.Join(errs...)
}

// fullHours returns the time up to which a day can be indexed: the last full hour, at most the day's end.
func fullHours(d day, now time.Time) time.Time {
	if to := now.UTC().Truncate(time.Hour); to.Before(d.end()) {
		return to
	}
	return d.end()
}
