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
	// daysAhead is how many days after today have partitions: rows may be a day in the future.
	daysAhead           = 2
	maintenanceInterval = time.Hour
)

// RunMaintenance creates the partitions of the next days, once an hour until ctx is done. It logs errors, and each time the
// unmanaged partitions and the tables that an operator has detached.
func (s *Store) RunMaintenance(ctx context.Context, log *slog.Logger) {
	for {
		err := errors.Join(s.warnOfUnmanaged(ctx, log), s.createUpcoming(ctx))
		if err != nil && ctx.Err() == nil {
			log.Error("partition maintenance failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		// The jitter keeps replicas from starting at the same moment.
		case <-time.After(maintenanceInterval - rand.N(maintenanceInterval/10)):
		}
	}
}

// warnOfUnmanaged logs each partition that this service has not created.
func (s *Store) warnOfUnmanaged(ctx context.Context, log *slog.Logger) error {
	_, unmanaged, err := listPartitions(ctx, s.pool)
	if err != nil {
		return err
	}
	for _, table := range unmanaged {
		log.Warn("partition of the request logs was not created by this service: its rows are not sealed or expired, "+
			"and no partition can be created for days that it overlaps", "table", table)
	}
	return s.warnOfDetached(ctx, log)
}

// warnOfDetached logs each table that an operator has detached and not renamed, also if rename has renamed it. It holds the lock
// of the layout, because a table that is being created is not attached either.
func (s *Store) warnOfDetached(ctx context.Context, log *slog.Logger) error {
	return s.changeLayout(ctx, func(conn *pgxpool.Conn) error {
		detached, err := listDetached(ctx, conn)
		for _, d := range detached {
			if !d.dropping {
				log.Warn("table of the request logs was detached, but not by this service: its rows are not shown or expired, "+
					"and it is renamed when its day needs a partition again", "schema", schema, "table", d.String())
			}
		}
		if err != nil {
			return err
		}
		renamed, err := listRenamed(ctx, conn)
		for _, r := range renamed {
			log.Warn("table of the request logs was detached, but not by this service, and was renamed, because its day takes rows: "+
				"its rows are not shown or expired", "schema", schema, "table", r.name, "was", r.was)
		}
		return err
	})
}

// createUpcoming creates the partitions of yesterday to daysAhead days from now, by the clock of the database. An error of one
// day does not hold up the others.
func (s *Store) createUpcoming(ctx context.Context) error {
	now, err := s.Time(ctx, time.Time{})
	if err != nil {
		return err
	}
	today := dayOf(now)
	var errs []error
	for d := today - 1; d <= today+daysAhead; d++ {
		errs = append(errs, s.createDay(ctx, d))
	}
	return errors.Join(errs...)
}
