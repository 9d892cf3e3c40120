package trail

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

func openShared(t *testing.T, dir string) *Trail {
	t.Helper()
	trail, err := OpenShared(Config{
		Dir: dir, MaxBytes: MinBytes, Fsync: time.Second, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return trail
}

func expectTrail(t *testing.T, trail *Trail, want string) {
	t.Helper()
	if got := filepath.Base(trail.deadLetters.dir); got != want {
		t.Errorf("it has the trail %s, want %s", got, want)
	}
}

func TestReplicasThatShareAFolderHaveATrailEach(t *testing.T) {
	dir := t.TempDir()
	first, second := openShared(t, dir), openShared(t, dir)
	expectTrail(t, first, "0")
	expectTrail(t, second, "1")
	if err := second.Append(t.Context(), calls(3)...); err != nil {
		t.Fatal(err)
	}
	for _, trail := range []*Trail{first, second} {
		if err := trail.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// The first one takes the trail with a backlog.
	next, other := openShared(t, dir), openShared(t, dir)
	expectTrail(t, next, "1")
	expectTrail(t, other, "0")
	if next.wal.BacklogBytes() == 0 {
		t.Error("the rows are gone")
	}
	for _, trail := range []*Trail{next, other} {
		if err := trail.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestATrailWhoseRowsAreStoredGivesWayToOneWithRows(t *testing.T) {
	dir := t.TempDir()
	stored, left := openShared(t, dir), openShared(t, dir)
	for _, trail := range []*Trail{stored, left} {
		if err := trail.Append(t.Context(), calls(3)...); err != nil {
			t.Fatal(err)
		}
	}
	reader := stored.wal.NewReader()
	for range 3 {
		if _, ok, err := reader.Next(); err != nil || !ok {
			t.Fatalf("the next row: %v, %v", ok, err)
		}
	}
	if err := errors.Join(stored.wal.Release(reader.Position()), reader.Close(), stored.Close(), left.Close()); err != nil {
		t.Fatal(err)
	}
	// A single replica must ship the rows of another one.
	next := openShared(t, dir)
	expectTrail(t, next, "1")
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWhatAReplicaLeftIsShippedByAnother(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		service := &logService{}
		w := start(t, t.TempDir(), service)
		config := Config{
			Dir: dir, MaxBytes: MinBytes, Fsync: time.Second, Client: w.client, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
		}
		here, err := OpenShared(config)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- here.Run(ctx) }()
		config.Metrics = prometheus.NewRegistry()
		gone, err := OpenShared(config)
		if err != nil {
			t.Fatal(err)
		}
		if err := gone.Append(t.Context(), calls(3)...); err != nil {
			t.Fatal(err)
		}
		pass(2 * adoptInterval)
		if rows, _, _ := service.state(); rows != 0 {
			t.Errorf("%d rows of a trail that is in use are shipped by another replica", rows)
		}
		if err := gone.Close(); err != nil {
			t.Fatal(err)
		}
		pass(2 * adoptInterval)
		if rows, _, _ := service.state(); rows != 3 {
			t.Errorf("%d rows are shipped, want 3", rows)
		}
		stop()
		if err := errors.Join(<-ended, here.Close()); err != nil {
			t.Error(err)
		}
	})
}

// abandon creates trails with rows in a shared directory and closes them.
func abandon(t *testing.T, dir string, trails, rows int) {
	t.Helper()
	gone := make([]*Trail, trails)
	for i := range gone {
		gone[i] = openShared(t, dir)
		if err := gone[i].Append(t.Context(), calls(rows)...); err != nil {
			t.Fatal(err)
		}
	}
	for _, trail := range gone {
		if err := trail.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// startAdopter is start with a trail in a shared directory with abandoned trails.
func startAdopter(t *testing.T, service *logService, trails, rows int) *fixture {
	t.Helper()
	w := start(t, t.TempDir(), service)
	config := Config{
		Dir: filepath.Join(t.TempDir(), "shared"), MaxBytes: MinBytes, Fsync: time.Second, Client: w.client,
		Log: slog.New(w.book), Metrics: prometheus.NewRegistry(),
	}
	w.close(t)
	own, err := OpenShared(config)
	if err != nil {
		t.Fatal(err)
	}
	w.Trail, w.registry = own, config.Metrics.(*prometheus.Registry)
	abandon(t, config.Dir, trails, rows)
	return w
}

func TestAdoptedRowsAreShippedToASlowService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startAdopter(t, &logService{respond: slow(2 * drainTimeout)}, 1, 3)
		w.run(t)
		pass(adoptInterval + 3*drainTimeout)
		w.expect(t, "from the trail that was left", 3, 3)
	})
}

func TestAdoptedRowsAreShippedAtShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startAdopter(t, &logService{respond: slow(2 * linger)}, 1, 3)
		stop := w.run(t)
		pass(adoptInterval + linger)
		w.expect(t, "while they are in flight", 0)
		stop()
		w.expect(t, "after the end", 3, 3)
	})
}

func TestAdoptedRowsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startAdopter(t, &logService{respond: func(_ context.Context, batch []*logsv1.RequestLogRecord) ([]*logsv1.RefusedRequestLog, error) {
			return []*logsv1.RefusedRequestLog{{Index: 0, RequestLogId: batch[0].GetRequestLog().GetId(), Reason: "too old"}}, nil
		}}, 2, 3)
		w.run(t)
		pass(2 * adoptInterval)
		w.expectMetrics(t, map[string]float64{
			"shipped_rows_total": 4, "dead_lettered_rows_total": 2, "waiting_bytes": 0, "oldest_record_age_seconds": 0,
		})
	})
}

func TestShutdownDoesNotWaitForEachAbandonedTrail(t *testing.T) {
	for name, at := range map[string]time.Duration{"before it adopts one": linger, "while it does": adoptInterval + linger} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := startAdopter(t, &logService{respond: failing(-1, status.Error(codes.Unavailable, "away"))}, 5, 3)
				stop := w.run(t)
				pass(at)
				began := time.Now()
				stop()
				if took := time.Since(began); took > drainTimeout {
					t.Errorf("the end took %v", took)
				}
			})
		})
	}
}
