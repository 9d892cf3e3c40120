package postgres_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/authsvc/postgres"
	"github.com/keytrail/keytrail/internal/pgserver"
	"github.com/keytrail/keytrail/internal/pgtest"
)

// manyKeys makes a million keys of 10,000 workspaces as SQL alone can, a tenth of them with a second secret.
const manyKeys = `
	INSERT INTO keys SELECT 'workspace-' || i % 10000, gen_random_uuid(), i, false, 'production key ' || i,
		CASE i % 3 WHEN 0 THEN '{agent}' WHEN 1 THEN '{agent,data_agent}' ELSE '{agent,data_agent,voice_agent}' END::text[],
		i % 10 > 0, CASE WHEN i % 10 > 0 THEN '{}' ELSE '{agent-1,agent-2}' END::text[], false, NULL, now(), now()
	FROM generate_series(1, 1000000) AS i;
	INSERT INTO secrets SELECT workspace_id, id, position, sha256((id::text || position)::bytea), substr(id::text, 33), now(), NULL
	FROM keys, generate_series(0, CASE WHEN revision % 10 = 0 THEN 1 ELSE 0 END) AS position;
	UPDATE revision SET value = 1000000;
	ANALYZE keys, secrets`

// BenchmarkKeyring measures the first refresh of a keyring with a million keys and what it weighs, then a poll that
// finds nothing and one that finds one key. Run it with -benchtime 1x.
func BenchmarkKeyring(b *testing.B) {
	server, err := pgserver.Start(b.Context(), pgserver.Options{Durable: true})
	pgtest.Require(b, err)
	defer server.Stop()
	store, err := postgres.Open(b.Context(), server.URL("postgres"))
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	fill(b, server.URL("postgres"))

	for b.Loop() {
		before := heap()
		ring := authsvc.NewKeyring(store, time.Now)
		b.ReportMetric(refresh(b, ring).Seconds(), "s/load")
		b.ReportMetric(float64(heap()-before)/1e6, "B/key")
		b.ReportMetric(float64(refresh(b, ring).Microseconds()), "µs/poll")
		if err := store.Create(b.Context(), newKey("acme")); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(refresh(b, ring).Microseconds()), "µs/poll-of-one")
		runtime.KeepAlive(ring)
	}
}

// refresh answers how long one took.
func refresh(b *testing.B, ring *authsvc.Keyring) time.Duration {
	b.Helper()
	begun := time.Now()
	if err := ring.Refresh(b.Context()); err != nil {
		b.Fatal(err)
	}
	return time.Since(begun)
}

// heap is what is in use, without garbage.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func fill(b *testing.B, url string) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), url+"&search_path=keytrail_auth")
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(b.Context()))
	if _, err := conn.Exec(b.Context(), manyKeys); err != nil {
		b.Fatal(err)
	}
}
