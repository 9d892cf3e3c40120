package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/keytrail/keytrail/internal/testing/pgtest"
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

func TestStore(t *testing.T) {
	storetest.Test(t, func(t *testing.T) logsvc.Store {
		return open(t, pgtest.Database(t, migrate), time.Now)
	})
}
