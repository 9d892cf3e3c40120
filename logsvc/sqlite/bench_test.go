package sqlite

import (
	"slices"
	"testing"

	"github.com/keytrail/keytrail/logsvc"
)

func BenchmarkRecord(b *testing.B) {
	store := openNew(b)
	for b.Loop() {
		b.StopTimer()
		batch := calls(1000)
		slices.Reverse(batch) // as they arrive
		b.StartTimer()
		record(b, store, batch...)
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkSearchThatMatchesNothing(b *testing.B) {
	store := openNew(b)
	const count = 100_000
	for batch := range slices.Chunk(calls(count), 5000) {
		record(b, store, batch...)
	}
	for b.Loop() {
		list(b, store, logsvc.Query{Filter: logsvc.Filter{Endpoint: "nowhere"}, Limit: 50})
	}
	b.ReportMetric(float64(b.N)*count/b.Elapsed().Seconds(), "rows/s")
}
