// Package pgdb opens the Postgres databases of both services: it returns a pool whose connections use the service's own schema,
// with all migrations applied. Any number of replicas may start at once.
package pgdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Open opens the database at url for a service that keeps its tables in schema, and applies the service's
// migrations. It creates the schema if it is missing, so that both services can share a database or have one each;
// extensions are found in the schema public.
//
// The url overrides these defaults: pool_max_conns (10), connect_timeout (5 s), statement_timeout (5 min, a safety net:
// callers pass contexts), idle_in_transaction_session_timeout (30 s, so that a replica that hangs does not keep its locks),
// application_name, and jit (off: compiling takes longer than running the statements of the services). Sessions are always
// with the primary (target_session_attrs).
// No error contains the url or its password.
func Open(ctx context.Context, url, schema string, migrations fs.FS) (*pgxpool.Pool, error) {
	pool, migrate, err := Lazy(ctx, url, schema, migrations)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}

// Lazy is Open for a database that may be unreachable now: the caller calls the returned function, which applies
// the migrations, until it succeeds.
func Lazy(ctx context.Context, url, schema string, migrations fs.FS) (*pgxpool.Pool, func(context.Context) error, error) {
	config, err := parse(url, schema)
	if err != nil {
		return nil, nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, nil, fmt.Errorf("open the pool: %w", err)
	}
	return pool, func(ctx context.Context) error { return migrate(ctx, config.ConnConfig, schema, migrations) }, nil
}

// Identity returns the hosts, ports and name of the database at url.
func Identity(url string) (string, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return "", errURL
	}
	hosts := []string{net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))}
	for _, next := range config.Fallbacks { // a host is there twice with sslmode=prefer
		hosts = append(hosts, net.JoinHostPort(next.Host, strconv.Itoa(int(next.Port))))
	}
	slices.Sort(hosts)
	return strings.Join(slices.Compact(hosts), ",") + "/" + config.Database, nil
}

// errURL replaces the parser's error, which would quote a password with an unescaped "/" or "%" as a port or an escape.
var errURL = errors.New("the database URL cannot be read; it is postgres://user:password@host:port/database?sslmode=…, " +
	"with special characters of the password percent-encoded (the details stay hidden: they could hold the password)")

const (
	defaultConnections    = 10
	defaultConnectTimeout = 5 * time.Second
)

// parse returns the pool's configuration.
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
	// A standby may lag: what it returns is not the state of the database. Of several hosts the primary is used. This is not
	// read-write, because a pool may make its own sessions read-only.
	conn.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	// Idle connections, such as that of a listener, detect the loss of the server by keep-alive probes; those that wait for a
	// result detect it by the limit on unacknowledged data.
	conn.DialFunc = (&net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: silence / 2, Interval: silence / 6, Count: 3},
		Control:         limitUnacknowledged,
	}).DialContext
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

// silence is how long a connection may stay without any packet from the server before it counts as lost. Without a limit a
// query to a machine that vanished, or through a firewall that dropped the connection, would wait for a quarter of an hour.
const silence = 30 * time.Second

// PlaintextHost returns the first host of a URL to which a connection could cross a network in plaintext; empty if there is
// none. sslmode=prefer, the default of the driver, permits plaintext: an attacker on the path can disable TLS.
func PlaintextHost(url string) (host string, err error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return "", errURL
	}
	if config.TLSConfig == nil && !isLocal(config.Host) {
		return config.Host, nil
	}
	for _, next := range config.Fallbacks {
		if next.TLSConfig == nil && !isLocal(next.Host) {
			return next.Host, nil
		}
	}
	return "", nil
}

// isLocal reports whether a host is a folder of sockets or on the loopback interface.
func isLocal(host string) bool {
	ip, err := netip.ParseAddr(host)
	return filepath.IsAbs(host) || host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}
