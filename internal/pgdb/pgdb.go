// Package pgdb opens the Postgres databases of both services: a pool whose connections live in the service's own
// schema, with migrations applied, whatever number of replicas starts at once.
package pgdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Open opens the database at url for a service that keeps its tables in schema, and applies the service's
// migrations. The schema is made where it is missing, so that both services can share a database or have one each;
// extensions are found in the schema public.
//
// What the url says wins over the defaults made here: pool_max_conns (10), connect_timeout (5 s), statement_timeout
// (5 min, a net: callers bring contexts), idle_in_transaction_session_timeout (30 s: a replica that hangs must not
// keep its locks), application_name, and jit (off: it takes longer to compile what services ask than to run it).
// No error holds the url or its password.
func Open(ctx context.Context, url, schema string, migrations fs.FS) (*pgxpool.Pool, error) {
	config, err := parse(url, schema)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, config.ConnConfig, schema, migrations); err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open the pool: %w", err)
	}
	return pool, nil
}

// errURL hides what the parser says: a password with a stray "/" or "%" is quoted there as a port or an escape.
var errURL = errors.New("the database URL cannot be read; it is postgres://user:password@host:port/database?sslmode=…, " +
	"with special characters of the password percent-encoded (the details stay hidden: they could hold the password)")

const (
	defaultConnections    = 10
	defaultConnectTimeout = 5 * time.Second
)

// parse makes the pool's configuration.
func parse(url, schema string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errURL
	}
	if !strings.Contains(url, "pool_max_conns") {
		config.MaxConns = max(defaultConnections, config.MinConns)
	}
	conn := config.ConnConfig
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = defaultConnectTimeout
	}
	conn.DialFunc = dialer().DialContext
	for name, value := range map[string]string{
		"application_name":                    schema,
		"statement_timeout":                   "5min",
		"idle_in_transaction_session_timeout": "30s",
		"jit":                                 "off",
	} {
		if conn.RuntimeParams[name] == "" {
			conn.RuntimeParams[name] = value
		}
	}
	conn.RuntimeParams["search_path"] = pgx.Identifier{schema}.Sanitize() + ", public"
	return config, nil
}
