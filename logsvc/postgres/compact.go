package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/keytrail/keytrail/internal/pgdb"
)

// Compact implements logsvc.Store. It truncates the partitions of rows that are empty, and leaves a busy one for later.
func (s *Store) Compact(ctx context.Context, before time.Time) error {
	err := s.changeLayout(ctx, func(conn *pgxpool.Conn) error {
		days, _, err := listPartitions(ctx, conn)
		if err != nil {
			return err
		}
		// An empty partition has a page each for its primary key and the index of its texts, on each shard.
		size, empty := "pg_total_relation_size", int64(16<<10)
		if distributed, err := isDistributed(ctx, conn, rowsTable); err != nil {
			return err
		} else if distributed {
			size, empty = "citus_total_relation_size", 32*empty
		}
		for _, p := range days {
			if p.table != rowsTable || p.detaching || p.day >= dayOf(before) {
				continue
			}
			var bytes int64
			err := conn.QueryRow(ctx, "SELECT "+size+"($1::text::regclass)", p.String()).Scan(&bytes)
			if err == nil && bytes > empty {
				err = truncateEmpty(ctx, conn, p)
			}
			if err != nil {
				return fmt.Errorf("compact %s: %w", p, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("compact request logs: %w", pgdb.Unavailable(ctx, err))
	}
	return nil
}

// truncateEmpty truncates a partition that has no rows. Writers of that day wait while it looks, readers only for the moment
// of the truncation.
func truncateEmpty(ctx context.Context, conn *pgxpool.Conn, p partition) error {
	if empty, err := isEmpty(ctx, conn, p); err != nil || !empty {
		return err
	}
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, command := range []string{
			"SET LOCAL lock_timeout = '200ms'", "SET LOCAL statement_timeout = '5s'", fmt.Sprintf("LOCK TABLE %s IN SHARE MODE", p),
		} {
			if _, err := tx.Exec(ctx, command); err != nil {
				return err
			}
		}
		if empty, err := isEmpty(ctx, tx, p); err != nil || !empty {
			return err
		}
		_, err := tx.Exec(ctx, fmt.Sprintf("TRUNCATE %s", p))
		return err
	})
	// lock_not_available, query_canceled (by its timeout), deadlock_detected
	if ctx.Err() == nil && hasCode(err, "55P03", "57014", "40P01") {
		return nil
	}
	return err
}

func isEmpty(ctx context.Context, db db, p partition) (bool, error) {
	tag, err := db.Exec(ctx, fmt.Sprintf("SELECT 1 FROM %s LIMIT 1", p))
	return tag.RowsAffected() == 0, err
}
