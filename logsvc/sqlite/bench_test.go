package sqlite

import (
	"slices"
	"testing"

	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/block"
)

// tail is about the most unsealed rows that a workspace has.
const tail = 18_000

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

func BenchmarkTail(b *testing.B) {
	store, entries := openNew(b), calls(tail)
	for batch := range slices.Chunk(entries, 5000) {
		record(b, store, batch...)
	}
	for name, filter := range map[string]logsvc.Filter{
		"the newest page": {}, "5xx, none": {StatusClass: 5}, "endpoint, none": {Endpoint: "nowhere"},
		"a key": {KeyID: entries[0].KeyID},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				view(b, store, logsvc.ViewQuery{Filter: filter, Range: everything(), Rows: 200, Blocks: 4})
			}
		})
	}
	b.Run("tally", func(b *testing.B) {
		for b.Loop() {
			_, err := store.Tally(b.Context(), "acme", everything(), func(block.Group) {})
			must(b, err)
		}
	})
}

// BenchmarkReplace measures for how long a batch waits while a block is sealed.
func BenchmarkReplace(b *testing.B) {
	store := openNew(b)
	for b.Loop() {
		b.StopTimer()
		entries := calls(4 * logsvc.DefaultSealRows)
		for batch := range slices.Chunk(entries, 5000) {
			record(b, store, batch...)
		}
		packed := sealed(entries...)
		packed.Data = make([]byte, 16*len(entries))
		slices.Reverse(entries)
		b.StartTimer()
		replace(b, store, logsvc.Change{Rows: entries, Insert: []logsvc.SealedBlock{packed}})
	}
}

func BenchmarkReadPart(b *testing.B) {
	store := openNew(b)
	packed := sealed(calls(1)...)
	packed.Data = make([]byte, 16*4*logsvc.DefaultSealRows)
	replace(b, store, logsvc.Change{Insert: []logsvc.SealedBlock{packed}})
	parts := slices.Repeat([]logsvc.Part{{Block: packed.Block, Span: block.Span{Offset: 100_000, Length: 10_000}}}, 8)
	for b.Loop() {
		_, err := store.Read(b.Context(), "acme", parts)
		must(b, err)
	}
}
