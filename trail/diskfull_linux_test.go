package trail

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/testing/disktest"
)

// onDisk moves the trail to a file system of its own.
func (w *fixture) onDisk(t *testing.T, disk string, limit int64) {
	t.Helper()
	client := w.client
	w.close(t)
	w.dir = filepath.Join(disk, "trail")
	w.open(t, Config{MaxBytes: limit, Fsync: time.Second, Client: client})
}

func (w *fixture) reserved(t *testing.T) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(w.dir, reserveFile))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// TestFullDiskHasRoomForDeadLetters has rows of every batch refused on a full disk, on which new records take all space that
// becomes free.
func TestFullDiskHasRoomForDeadLetters(t *testing.T) {
	disk, ok := disktest.Mount(t, "6m")
	if !ok {
		return
	}
	synctest.Test(t, func(t *testing.T) {
		service := &logService{}
		w := start(t, t.TempDir(), service)
		w.onDisk(t, disk, 1<<30) // far more than the disk has
		if reserved := w.reserved(t); reserved != 6<<20/16 {
			t.Fatalf("%d bytes are reserved", reserved)
		}
		poison := calls(5 * batchRows)
		w.append(t, poison...)
		taken, letters := len(poison)+w.fill(t), map[string]string{}
		ids, began := map[string]bool{}, time.Now()
		var mu sync.Mutex
		for i := 0; i < len(poison); i += batchRows / 10 {
			ids[poison[i].ID.String()], letters[poison[i].ID.String()] = true, "poison"
		}
		service.respond = func(_ context.Context, batch []*logsv1.RequestLogRecord) (refused []*logsv1.RefusedRequestLog, _ error) {
			// Longer than the trail waits before it looks for room again.
			<-time.After(linger / 2)
			mu.Lock()
			defer mu.Unlock()
			if time.Since(began) < 10*linger {
				taken += w.fill(t)
			}
			for i, record := range batch {
				if id := record.GetRequestLog().GetId(); ids[id] {
					refused = append(refused, &logsv1.RefusedRequestLog{Index: int32(i), RequestLogId: id, Reason: "poison"})
				}
			}
			return refused, nil
		}
		w.run(t)
		pass(time.Minute)
		w.expectLetters(t, letters)
		w.expectMetrics(t, map[string]float64{"waiting_bytes": 0, "shipped_rows_total": float64(taken - len(letters))})
		if reserved := w.reserved(t); reserved != 6<<20/16 {
			t.Errorf("%d bytes are reserved when there is room again", reserved)
		}
		w.append(t, calls(1)...)
	})
}

// TestADiskFullOfStoredRowsHasRoomAgain fills the disk with rows that are stored and released.
func TestADiskFullOfStoredRowsHasRoomAgain(t *testing.T) {
	disk, ok := disktest.Mount(t, "6m")
	if !ok {
		return
	}
	for name, c := range map[string]struct {
		limit int64
		rows  int // appended at once
	}{
		"a part of a segment":        {1 << 30, 200},
		"a segment that has no room": {MinBytes, 2200},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := start(t, t.TempDir(), &logService{})
				w.onDisk(t, disk, c.limit)
				w.run(t)
				taken, full := 0, 0
				for range 15 {
					if w.Append(t.Context(), wide(c.rows)...) == nil {
						taken += c.rows
					} else {
						full++
					}
					pass(2 * linger)
				}
				if full > 3 {
					t.Errorf("%d of 15 appends find no room", full)
				}
				w.expectMetrics(t, map[string]float64{"waiting_bytes": 0, "shipped_rows_total": float64(taken)})
			})
		})
	}
}
