package wal

import (
	"context"
	"runtime"
	"testing"
	"time"
)

// BenchmarkAppend appends records of 180 bytes from two goroutines at once.
func BenchmarkAppend(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	w, _ := openTestWAL(b, b.TempDir(), func(o *Options) { o.MaxBytes, o.Fsync = 1<<40, 100*time.Millisecond })
	record := make([]byte, 180)
	b.ReportAllocs()
	b.SetBytes(int64(headerBytes + len(record)))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := w.Append(context.Background(), record); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
