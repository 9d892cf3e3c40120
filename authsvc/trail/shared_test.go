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
	if got := filepath.Base(trail.dead.dir); got != want {
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
	// Whoever comes first goes on with the rows that were left.
	heir, other := openShared(t, dir), openShared(t, dir)
	expectTrail(t, heir, "1")
	expectTrail(t, other, "0")
	if heir.journal.Waiting() == 0 {
		t.Error("the rows are gone")
	}
	for _, trail := range []*Trail{heir, other} {
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
	reader := stored.journal.NewReader()
	for range 3 {
		if _, ok, err := reader.Next(); err != nil || !ok {
			t.Fatalf("the next row: %v, %v", ok, err)
		}
	}
	if err := errors.Join(stored.journal.Release(reader.Position()), reader.Close(), stored.Close(), left.Close()); err != nil {
		t.Fatal(err)
	}
	// A replica alone must not go by the rows of another one.
	heir := openShared(t, dir)
	expectTrail(t, heir, "1")
	if err := heir.Close(); err != nil {
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
		pass(2 * inheritEvery)
		if rows, _, _ := service.state(); rows != 0 {
			t.Errorf("%d rows of a trail that is in use are shipped by another replica", rows)
		}
		if err := gone.Close(); err != nil {
			t.Fatal(err)
		}
		pass(2 * inheritEvery)
		if rows, _, _ := service.state(); rows != 3 {
			t.Errorf("%d rows are shipped, want 3", rows)
		}
		stop()
		if err := errors.Join(<-ended, here.Close()); err != nil {
			t.Error(err)
		}
	})
}
