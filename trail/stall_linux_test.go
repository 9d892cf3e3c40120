package trail

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/testing/disktest"
	"github.com/keytrail/keytrail/trail/wal"
)

// startOnDisk starts a trail on a disk that can be frozen. It ships.
func startOnDisk(t *testing.T) (w *fixture, disk *disktest.Disk, stop func() error) {
	t.Helper()
	disk = disktest.Freezable(t, 64<<20)
	w = start(t, filepath.Join(disk.Dir, "trail"), &logService{})
	client := w.client
	w.close(t)
	w.open(t, Config{MaxBytes: MinBytes, Fsync: 100 * time.Millisecond, StallTimeout: 250 * time.Millisecond, Client: client})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	trail := w.Trail
	go func() { ended <- trail.Run(ctx) }()
	return w, disk, func() error { cancel(); return <-ended }
}

// eventually waits until a condition holds; it fails the test after a minute.
func eventually(t *testing.T, so func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !so() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("not within a minute")
		}
	}
}

func (w *fixture) awaitShipped(t *testing.T, want int) {
	t.Helper()
	eventually(t, func() bool { rows, _, _ := w.service.state(); return rows == want && w.wal.BacklogBytes() == 0 })
}

func TestRowsOnAFrozenDiskAreRefusedAndCounted(t *testing.T) {
	t.Parallel()
	w, disk, stop := startOnDisk(t)
	w.append(t, calls(3)...)
	w.awaitShipped(t, 3)
	if err := disk.Freeze(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the writer takes the first
		if err := w.Append(t.Context(), calls(2)...); reasonOf(err) != fault.TrailFailed {
			t.Errorf("rows on a frozen disk: %v", err)
		}
	}
	if err := w.Writable(); !errors.Is(err, wal.ErrStalled) || w.Full() {
		t.Errorf("Writable: %v, full: %v", err, w.Full())
	}
	got := w.metricsNow(t)
	if got["uncertain_records_total"] != 2 || got["refused_records_total"] != 2 || got["appended_records_total"] != 3 || got["stalled_seconds"] <= 0 {
		t.Errorf("counted %v", got)
	}
	if err := disk.Thaw(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return w.Writable() == nil })
	w.append(t, calls(1)...)
	w.awaitShipped(t, 6) // the uncertain ones are there
	w.expectMetrics(t, map[string]float64{"stalled_seconds": 0})
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestATrailOnAFrozenDiskStops(t *testing.T) {
	t.Parallel()
	w, disk, stop := startOnDisk(t)
	w.append(t, calls(3)...)
	if err := disk.Freeze(); err != nil {
		t.Fatal(err)
	}
	// They are sent, and cannot be released.
	eventually(t, func() bool { rows, _, _ := w.service.state(); return rows == 3 })
	if err := w.Append(t.Context(), calls(1)...); reasonOf(err) != fault.TrailFailed {
		t.Errorf("a row on a frozen disk: %v", err)
	}
	if err := stop(); !errors.Is(err, wal.ErrStalled) {
		t.Errorf("Run: %v", err)
	}
	if err := w.Close(); !errors.Is(err, wal.ErrStalled) {
		t.Errorf("Close: %v", err)
	}
	w.Trail = nil
	if err := disk.Thaw(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		next, err := LockEmpty(w.dir, slog.New(slog.DiscardHandler))
		if err == nil {
			err = next.Close()
		}
		return err == nil || errors.Is(err, ErrNotEmpty)
	})
}
