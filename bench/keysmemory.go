package main

import (
	"context"
	"io"
	"os"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/authsvc/postgres"
)

// loadMemory is what a load of keys with distinct allowlists takes.
type loadMemory struct {
	ListsLoadS          float64 `json:"lists_load_s"`
	ListsBytesPerKey    float64 `json:"lists_bytes_per_key"`
	PeakToStays         float64 `json:"load_peak_to_stays"`
	SnapshotBytesPerKey float64 `json:"snapshot_bytes_per_key"`
	SnapshotWriteS      float64 `json:"snapshot_write_s"`
	SnapshotReadS       float64 `json:"snapshot_read_s"`
}

func (f *loadMemory) measure(ctx context.Context, url string, keys int) error {
	store, err := postgres.Open(ctx, url)
	if err != nil {
		return err
	}
	defer store.Close()
	if err := fillKeys(ctx, url, keys, 1); err != nil {
		return err
	}
	ring := authsvc.NewKeyring(store, time.Now)
	before, began := heap(), time.Now()
	stop := watchHeap()
	err = ring.Refresh(ctx)
	peak := stop()
	if err != nil {
		return err
	}
	f.ListsLoadS = round(time.Since(began).Seconds())
	stays := heap() - before
	f.ListsBytesPerKey = round(float64(stays) / float64(keys))
	f.PeakToStays = round(float64(peak-before) / float64(stays))
	return f.measureSnapshot(ctx, ring, store, keys)
}

func (f *loadMemory) measureSnapshot(ctx context.Context, ring *authsvc.Keyring, store authsvc.Store, keys int) error {
	file, err := os.CreateTemp("", "keytrail-bench-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	began := time.Now()
	if _, err := ring.WriteSnapshot(ctx, file, "bench", make([]byte, 32)); err != nil {
		return err
	}
	f.SnapshotWriteS = round(time.Since(began).Seconds())
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	f.SnapshotBytesPerKey = round(float64(size) / float64(keys))
	began = time.Now()
	_, err = authsvc.NewKeyring(store, time.Now).ReadSnapshot(file, "bench")
	f.SnapshotReadS = round(time.Since(began).Seconds())
	runtime.KeepAlive(ring)
	return err
}

// watchHeap watches the bytes of objects, live or not collected yet, until stop is called, which returns the most.
func watchHeap() (stop func() uint64) {
	end, ended := make(chan struct{}), make(chan uint64)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		sample, most := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}, uint64(0)
		for {
			metrics.Read(sample)
			most = max(most, sample[0].Value.Uint64())
			select {
			case <-end:
				ended <- most
				return
			case <-tick.C:
			}
		}
	}()
	return func() uint64 { close(end); return <-ended }
}
