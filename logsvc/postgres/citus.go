package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/keytrail/keytrail/internal/pgdb"
)

// Distribute spreads both tables over the nodes of Citus, by workspace, with the rows that are there. Writers wait meanwhile.
// It may be called at any time, and again. The database must have the extension citus, and must be that of the coordinator.
func (s *Store) Distribute(ctx context.Context) error {
	err := s.changeLayout(ctx, func(conn *pgxpool.Conn) error {
		for _, table := range tables {
			if err := distribute(ctx, conn, table); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("distribute request logs: %w", pgdb.Unavailable(ctx, err))
	}
	return nil
}

func distribute(ctx context.Context, conn *pgxpool.Conn, table string) error {
	var installed bool
	err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')").Scan(&installed)
	if err != nil {
		return err
	}
	if !installed {
		return errors.New("the database has no extension citus: install Citus on every node, and create the extension")
	}
	distributed, err := isDistributed(ctx, conn, table)
	if err != nil {
		return err
	}
	if !distributed {
		colocated := rowsTable
		if table == rowsTable {
			colocated = "none"
		}
		_, err := conn.Exec(ctx, `SELECT create_distributed_table($1::text::regclass, 'workspace_id', colocate_with => $2)`,
			table, colocated)
		if err != nil {
			return fmt.Errorf("table %s: %w", table, err)
		}
	}
	// The rows were copied to the shards; an earlier call may have ended before this.
	if _, err := conn.Exec(ctx, "SELECT truncate_local_data_after_distributing_table($1::text::regclass)", table); err != nil {
		return fmt.Errorf("delete the local copy of %s: %w", table, err)
	}
	return nil
}

func isDistributed(ctx context.Context, conn *pgxpool.Conn, table string) (distributed bool, err error) {
	err = conn.QueryRow(ctx, "SELECT to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL").Scan(&distributed)
	if err != nil || !distributed {
		return false, err
	}
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = $1::text::regclass)",
		table).Scan(&distributed)
	return distributed, err
}
