// Package pgtest provides tests with a real Postgres: one private server per test package, one cloned database per test.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/internal/testing/pgserver"
)

// shared is the server of the running test package. It starts on first use.
var shared struct {
	mu        sync.Mutex
	server    *pgserver.Server
	err       error              // why it did not start
	admin     *pgx.Conn          // creates and drops databases
	strategy  string             // how databases are copied
	templates map[uintptr]string // by the address of the migration; 0 is the empty template
	created   int
}

// Main runs the tests of a package and stops its server: func TestMain(m *testing.M) { pgtest.Main(m) }
func Main(m *testing.M) {
	m.Run() // TestMain exits with its code
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil {
		return
	}
	if err := shared.server.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
	}
}

// Database creates a database for the test and returns its URL. It is a clone of a template that migrate was run on, once for
// all tests of the package; nil means an empty one. Templates are cached by the address of migrate: a closure must do the same
// whatever its variables are. It must leave no connection open. The database is dropped at the end of the test.
func Database(t testing.TB, migrate func(ctx context.Context, url string) error) string {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	Require(t, startShared())
	template, err := templateOf(migrate)
	if err != nil {
		t.Fatal(err)
	}
	name, err := create(template)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { drop(t, name) })
	return shared.server.URL(name)
}

// Private starts a server for this test only, which the test may crash and restart.
func Private(t testing.TB) *pgserver.Server {
	t.Helper()
	ctx, cancel := background()
	defer cancel()
	server, err := pgserver.Start(ctx, pgserver.Options{})
	Require(t, err)
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// Require fails the test if a server did not start. Where Postgres is not installed it skips the test, with a line that says
// how to get it, unless CI is set.
func Require(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, pgserver.ErrNoBinaries) && os.Getenv("CI") == "":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

// startShared starts the package's server on the first call; the caller holds the lock.
func startShared() error {
	if shared.server != nil || shared.err != nil {
		return shared.err
	}
	ctx, cancel := background()
	defer cancel()
	shared.templates = map[uintptr]string{0: "template0"}
	if shared.server, shared.err = pgserver.Start(ctx, pgserver.Options{}); shared.err != nil {
		return shared.err
	}
	if shared.admin, shared.err = pgx.Connect(ctx, shared.server.URL("postgres")); shared.err != nil {
		return shared.err
	}
	// Copying files takes 30 ms a database. The default of Postgres 15, writing them to the log, takes ten times as long.
	shared.err = shared.admin.QueryRow(ctx, `SELECT CASE WHEN current_setting('server_version_num')::int >= 150000
		THEN ' STRATEGY FILE_COPY' ELSE '' END`).Scan(&shared.strategy)
	return shared.err
}

// templateOf returns the database that migrate was run on.
func templateOf(migrate func(context.Context, string) error) (string, error) {
	id := reflect.ValueOf(migrate).Pointer()
	if name, ok := shared.templates[id]; ok {
		return name, nil
	}
	name, err := create(shared.templates[0])
	if err != nil {
		return "", err
	}
	ctx, cancel := background()
	defer cancel()
	if err := migrate(ctx, shared.server.URL(name)); err != nil {
		return "", fmt.Errorf("migrate the template of the tests: %w", err)
	}
	shared.templates[id] = name
	return name, nil
}

// create creates a database.
func create(template string) (string, error) {
	shared.created++
	name := fmt.Sprintf("test_%d", shared.created)
	ctx, cancel := background()
	defer cancel()
	if _, err := shared.admin.Exec(ctx, `CREATE DATABASE `+name+` TEMPLATE `+template+shared.strategy); err != nil {
		return "", fmt.Errorf("create a database for a test: %w", err)
	}
	return name, nil
}

// drop drops a database, and ends the connections to it.
func drop(t testing.TB, name string) {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	ctx, cancel := background()
	defer cancel()
	if _, err := shared.admin.Exec(ctx, `DROP DATABASE `+name+` WITH (FORCE)`); err != nil {
		t.Errorf("drop the database of a test: %v", err)
	}
}

// background returns a context for work that outlives a test: a test's own context is cancelled before its cleanup.
func background() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Minute)
}
