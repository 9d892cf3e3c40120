package postgres_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/internal/testing/pgtest"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/postgres"
	"github.com/keytrail/keytrail/logsvc/storetest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// migrate prepares the template that every test's database is cloned from.
func migrate(ctx context.Context, url string) error {
	store, err := postgres.Open(ctx, url)
	if err != nil {
		return err
	}
	return store.Close()
}

func open(t *testing.T, url string) *postgres.Store {
	t.Helper()
	store, err := postgres.Open(t.Context(), url)
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	return store
}

// expire drops the days that are older than an age.
func expire(t *testing.T, store *postgres.Store, age time.Duration) {
	t.Helper()
	_, err := store.Expire(t.Context(), uuid7.First(time.Now().Add(-age)), math.MaxInt)
	must(t, err)
}

func TestStore(t *testing.T) {
	storetest.Test(t, func(t *testing.T) logsvc.Store {
		url := pgtest.Database(t, migrate)
		return storetest.Replicas(open(t, url), open(t, url))
	})
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestPingFailsWhenTheStoreCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, table := range []string{"request_logs", "request_log_blocks"} {
		url := pgtest.Database(t, migrate)
		store := open(t, url)
		must(t, store.Ping(t.Context()))
		_, err := connect(t, url).Exec(t.Context(), "ALTER TABLE keytrail_logs."+table+" RENAME TO renamed")
		must(t, err)
		if store.Ping(t.Context()) == nil {
			t.Errorf("Ping without %s succeeded", table)
		}
	}
}
