// Package pgtest gives tests a real Postgres: one private server a test package, one cloned database a test. Only
// tests import it.
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

// shared is the server of the running test package, and what was made on it. It starts at its first use.
var shared struct {
	mu        sync.Mutex
	server    *pgserver.Server
	err       error              // why it did not start
	admin     *pgx.Conn          // makes and drops databases
	strategy  string             // how databases are copied
	templates map[uintptr]string // by the migration that made them; the empty ones have none
	made      int
}

// Main runs the tests of a package and ends its server: func TestMain(m *testing.M) { pgtest.Main(m) }
func Main(m *testing.M) {
	m.Run() // it keeps the exit code
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil {
		return
	}
	if err := shared.server.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
	}
}

// Database makes a database for the test and answers its URL. It is a clone of one that migrate was run on, once
// for all tests of the package; nil = an empty one. Migrations are told apart by their code: a closure must do the
// same whatever it has closed over, and leave no connection open. The database goes when the test has ended.
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

// Private starts a server for this test alone, which the test may crash and restart.
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

// Require ends the test where err says that a server did not start. Where there is no Postgres the test is skipped
// with a line that says how to get one, unless CI is set: there a real database is a must.
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

// startShared starts the package's server at its first call; the caller holds the lock.
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
	shared.err = prepare(ctx)
	return shared.err
}

// prepare connects to the new server. Copying files takes 30 ms a database, writing them to the log, which newer
// Postgres does by itself, ten times as long; older ones do not know the word.
func prepare(ctx context.Context) error {
	var err error
	if shared.admin, err = pgx.Connect(ctx, shared.server.URL("postgres")); err != nil {
		return fmt.Errorf("connect to the server of the tests: %w", err)
	}
	err = shared.admin.QueryRow(ctx, `SELECT CASE WHEN current_setting('server_version_num')::int >= 150000
		THEN ' STRATEGY FILE_COPY' ELSE '' END`).Scan(&shared.strategy)
	if err != nil {
		return fmt.Errorf("version of the server of the tests: %w", err)
	}
	return nil
}

// templateOf answers the database that migrate was run on.
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

// create makes one more database.
func create(template string) (string, error) {
	shared.made++
	name := fmt.Sprintf("test_%d", shared.made)
	ctx, cancel := background()
	defer cancel()
	if _, err := shared.admin.Exec(ctx, `CREATE DATABASE `+name+` TEMPLATE `+template+shared.strategy); err != nil {
		return "", fmt.Errorf("make a database for a test: %w", err)
	}
	return name, nil
}

// drop removes a database, whoever is still connected.
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

// background is for what outlives a test: a test's own context is cancelled before its clean-up.
func background() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Minute)
}
