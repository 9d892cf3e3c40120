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
	"github.com/keytrail/keytrail/internal/disktest"
)

// onDisk moves a world's trail to a folder on a disk of its own, with far more room by its limit than the disk has.
func (w *world) onDisk(t *testing.T, disk string) {
	t.Helper()
	client := w.client
	w.close(t)
	w.dir = filepath.Join(disk, "trail")
	w.open(t, Config{MaxBytes: 1 << 30, Fsync: time.Second, Client: client})
}

func (w *world) reserved(t *testing.T) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(w.dir, reserveFile))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// TestFullDiskHasRoomForDeadLetters has rows of every batch refused on a disk that the trail has filled and fills again
// with every byte that becomes free.
func TestFullDiskHasRoomForDeadLetters(t *testing.T) {
	disk, ok := disktest.Mount(t, "6m")
	if !ok {
		return
	}
	synctest.Test(t, func(t *testing.T) {
		service := &logService{}
		w := start(t, t.TempDir(), service)
		w.onDisk(t, disk)
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
		service.answer = func(_ context.Context, batch []*logsv1.RequestLog) (refused []*logsv1.RefusedRequestLog, _ error) {
			// Longer than the trail waits before it looks for room again.
			<-time.After(linger / 2)
			mu.Lock()
			defer mu.Unlock()
			if time.Since(began) < 10*linger {
				taken += w.fill(t)
			}
			for i, row := range batch {
				if ids[row.GetId()] {
					refused = append(refused, &logsv1.RefusedRequestLog{Index: int32(i), Id: row.GetId(), Reason: "poison"})
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
