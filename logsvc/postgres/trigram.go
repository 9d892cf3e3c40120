package postgres

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The endpoints of a day are indexed by trigrams hour by hour: each index covers the day from its start to a full
// hour, and replaces the one before. New rows are not in such an index, which would cost more than all others together; a
// search scans at most the hour or so that has none yet.

// endpointIndex returns the name of the trigram index over the day's first hours, up to 24.
func (d day) endpointIndex(hours int) string {
	return fmt.Sprintf("%s_endpoint_%02d", d.table(), hours)
}

// endpointIndexName matches the result of endpointIndex: the table and the hours.
const endpointIndexName = `^(request_logs_\d{8})_endpoint_(\d\d)$`

// trigramIndex is one such index; an interrupted attempt leaves one that is not valid.
type trigramIndex struct {
	name  string
	day   day
	hours int
	valid bool
}

// trigramIndexes returns all of them.
func trigramIndexes(ctx context.Context, db querier) ([]trigramIndex, error) {
	rows, err := db.Query(ctx, `
		SELECT x.relname, name[1], name[2], n.indisvalid
		FROM pg_class parent
		JOIN pg_class x ON x.relnamespace = parent.relnamespace AND x.relkind = 'i'
		CROSS JOIN LATERAL regexp_match(x.relname, $1) name
		JOIN pg_index n ON n.indexrelid = x.oid
		WHERE parent.oid = 'request_logs'::regclass AND name IS NOT NULL`, endpointIndexName)
	if err != nil {
		return nil, fmt.Errorf("read the trigram indexes: %w", err)
	}
	var all []trigramIndex
	var x trigramIndex
	var table, hours string
	_, err = pgx.ForEachRow(rows, []any{&x.name, &table, &hours, &x.valid}, func() (err error) {
		var ok bool
		if x.day, ok = parseTable(table); !ok {
			return nil
		}
		if x.hours, err = strconv.Atoi(hours); err != nil {
			return err
		}
		all = append(all, x)
		return nil
	})
	return all, err
}

// indexCacheTTL is how long a search may rely on the cached list of trigram indexes. An index that has been replaced
// meanwhile is no problem: the new one covers more.
const indexCacheTTL = time.Minute

// knownIndexes caches the time up to which each day is indexed.
type knownIndexes struct {
	mu   sync.Mutex
	read time.Time
	to   map[day]time.Time
}

// forget clears the cache.
func (k *knownIndexes) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.read = time.Time{}
}

// ends returns the time up to which each day is indexed.
func (k *knownIndexes) ends(ctx context.Context, db querier) (map[day]time.Time, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.read) < indexCacheTTL {
		return k.to, nil
	}
	indexes, err := trigramIndexes(ctx, db)
	if err != nil {
		return nil, err
	}
	to := make(map[day]time.Time, len(indexes))
	for _, x := range indexes {
		if end := x.end(); x.valid && end.After(to[x.day]) {
			to[x.day] = end
		}
	}
	k.read, k.to = time.Now(), to
	return to, nil
}

func (x trigramIndex) end() time.Time { return x.day.start().Add(time.Duration(x.hours) * time.Hour) }

// index creates what is missing of the day's trigram index up to a moment. A day that is over is repacked first: many
// workspaces at once fill its primary key badly, and it shrinks by two fifths. The trigram index up to the day's end comes
// last and so marks the day as done. Remains of interrupted attempts are dropped.
func index(ctx context.Context, conn *pgxpool.Conn, d day, to time.Time) error {
	all, err := trigramIndexes(ctx, conn)
	if err != nil {
		return err
	}
	name, exists := d.endpointIndex(int(to.Sub(d.start())/time.Hour)), false
	var statements []string
	for _, x := range all {
		switch {
		case x.day != d:
		case x.name == name:
			exists = x.valid
		default:
			statements = append(statements, "DROP INDEX CONCURRENTLY IF EXISTS "+x.name)
		}
	}
	if !exists {
		// Older indexes are used until the new one is valid.
		statements = append(indexStatements(d, name, to), statements...)
	}
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("index the endpoints of %s: %w", d.table(), err)
		}
	}
	return nil
}

// indexStatements returns the statements that create the index of this name.
func indexStatements(d day, name string, to time.Time) []string {
	var statements []string
	if to.Equal(d.end()) {
		statements = []string{
			"DROP INDEX CONCURRENTLY IF EXISTS " + d.table() + "_pkey_ccnew",
			"REINDEX INDEX CONCURRENTLY " + d.table() + "_pkey",
			"VACUUM (FREEZE, ANALYZE) " + d.table(),
		}
	}
	return append(statements,
		"SET maintenance_work_mem = '256MB'",
		"DROP INDEX CONCURRENTLY IF EXISTS "+name,
		fmt.Sprintf("CREATE INDEX CONCURRENTLY %s ON %s USING gin (endpoint gin_trgm_ops) WHERE id < '%s'", name, d.table(), bound(to)))
}
