package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/internal/pgtest"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/postgres"
	"github.com/keytrail/keytrail/logsvc/storetest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// migrate makes the template that every test's database is cloned from.
func migrate(ctx context.Context, url string) error {
	store, err := postgres.Open(ctx, url, time.Now)
	if err != nil {
		return err
	}
	return store.Close()
}

func open(t *testing.T, url string, now func() time.Time) *postgres.Store {
	t.Helper()
	store, err := postgres.Open(t.Context(), url, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func TestRowsOfTheReleaseBeforeStandForOneCall(t *testing.T) {
	url := pgtest.Database(t, migrate)
	store, want := open(t, url, time.Now), rows("acme", time.Now(), 1)[0]
	want.KeyID, want.KeyName, want.KeyLast4 = uuid.Nil, "", ""
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	_, err = conn.Exec(t.Context(), `INSERT INTO keytrail_logs.request_logs
		(id, latency_us, key_ref, hour, status, workspace_id, agent_type, agent_id, method, error_code, endpoint)
		VALUES ($1, 1000, 0, $2, 200, 'acme', 'agent', '', 'GET', '', $3)`,
		want.ID.String(), want.Time().Hour(), want.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := store.Get(t.Context(), "acme", want.ID); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestStore(t *testing.T) {
	storetest.Test(t, func(t *testing.T) logsvc.Store {
		return open(t, pgtest.Database(t, migrate), time.Now)
	})
}
