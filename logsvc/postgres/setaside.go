package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// renamedSuffix ends the names of tables that rename has renamed, perhaps with a number behind it.
const renamedSuffix = "_set_aside"

// rename renames a detached table to a free name, which is not that of a partition. Its index keeps its name: Postgres gives that
// of the next partition another one.
func rename(ctx context.Context, conn *pgxpool.Conn, p partition) error {
	name, taken := p.String()+renamedSuffix, true
	for n := 2; taken; n++ {
		if err := conn.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", name).Scan(&taken); err != nil {
			return fmt.Errorf("look for the table %s: %w", name, err)
		}
		if taken {
			name = fmt.Sprintf("%s%s%d", p, renamedSuffix, n)
		}
	}
	if err := execAll(ctx, conn, fmt.Sprintf("ALTER TABLE %s RENAME TO %s", p, name)); err != nil {
		return fmt.Errorf("rename the table %s, which was set aside: %w", p, err)
	}
	return nil
}

// renamedTable is a table that rename has renamed.
type renamedTable struct{ name, was string }

func listRenamed(ctx context.Context, db db) ([]renamedTable, error) {
	rows, err := db.Query(ctx, `
		SELECT c.relname, (regexp_match(c.relname, '^(.*_[0-9]{8})'||$1||'[0-9]*$'))[1]
		FROM pg_class c JOIN pg_class parent ON c.relnamespace = parent.relnamespace AND c.relkind = 'r' AND NOT c.relispartition
		WHERE parent.oid IN ('`+rowsTable+`'::regclass, '`+blocksTable+`'::regclass)
		AND c.relname ~ ('^'||parent.relname||'_[0-9]{8}'||$1||'[0-9]*$') ORDER BY c.relname`, renamedSuffix)
	if err != nil {
		return nil, fmt.Errorf("list the renamed tables: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t renamedTable, err error) {
		err = row.Scan(&t.name, &t.was)
		return t, err
	})
	if err != nil {
		return nil, fmt.Errorf("list the renamed tables: %w", err)
	}
	return all, nil
}
