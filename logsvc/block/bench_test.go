package block

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
)

// cases are the blocks of the benchmarks: a day of a small workspace, and blocks of a large one.
func cases(b *testing.B, run func(b *testing.B, rows []Entry)) {
	for _, n := range []int{100, 1684, 16384, 65536} {
		for _, ids := range []string{"random", "counter"} {
			b.Run(fmt.Sprintf("rows=%d/ids=%s", n, ids), func(b *testing.B) {
				step := 518 * time.Millisecond
				if n < 16384 {
					step = 24 * time.Hour / time.Duration(n+100)
				}
				run(b, newTraffic(1, ids == "counter").rows(n, day, step))
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/row")
			})
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	e := NewEncoder()
	cases(b, func(b *testing.B, rows []Entry) {
		var packed Packed
		for b.Loop() {
			packed, _ = e.Encode(rows)
		}
		s, err := NewDecoder().ParseSummary(packed.Summary)
		if err != nil {
			b.Fatal(err)
		}
		for i, name := range []string{"columns", "text", "statistics", "keys"} {
			b.ReportMetric(float64(s.parts[i].Length)/float64(len(rows)), name+"-B/row")
		}
		b.ReportMetric(float64(s.Whole().Length-s.parts[partPages].Offset)/float64(len(rows)), "pages-B/row")
		b.ReportMetric(float64(len(packed.Summary))/float64(len(rows)), "summary-B/row")
		b.ReportMetric(float64(len(packed.Summary)+len(packed.Data))/float64(len(rows)), "B/row")
	})
}

func BenchmarkEntries(b *testing.B) {
	d := NewDecoder()
	cases(b, func(b *testing.B, rows []Entry) {
		packed, _ := NewEncoder().Encode(rows)
		s, _ := d.ParseSummary(packed.Summary)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := d.Entries(s, packed.Data); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkScan(b *testing.B) {
	d := NewDecoder()
	cases(b, func(b *testing.B, rows []Entry) {
		block := encode(b, NewEncoder(), d, rows)
		for name, q := range map[string]ScanQuery{
			"newest":  {},
			"absent":  {Filter: Filter{Endpoint: "0123abcdef99"}},
			"two":     {Filter: Filter{Endpoint: "zq"}},
			"rare":    {Filter: Filter{Endpoint: rare(rows)}},
			"key+4xx": {Filter: Filter{KeyID: rows[0].KeyID, StatusClass: 4}},
		} {
			b.Run(name, func(b *testing.B) {
				q.To, q.Limit = uuid.Max, 50
				b.ReportAllocs()
				for b.Loop() {
					run(b, d, block, q)
				}
			})
		}
	})
}

func BenchmarkParseSummary(b *testing.B) {
	d := NewDecoder()
	cases(b, func(b *testing.B, rows []Entry) {
		block := encode(b, NewEncoder(), d, rows)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := d.ParseSummary(block.Packed.Summary); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCounts(b *testing.B) {
	d := NewDecoder()
	cases(b, func(b *testing.B, rows []Entry) {
		block := encode(b, NewEncoder(), d, rows)
		counts, keys := Counts{}, Keys{}
		all, byKey := fetch(block.Data, []Span{block.CountsSpan()})[0], fetch(block.Data, []Span{block.KeysSpan()})[0]
		for name, add := range map[string]func() error{
			"all": func() error {
				added, err := d.Counts(block.Summary, all)
				counts.Merge(added)
				return err
			},
			"key": func() error {
				added, err := d.KeyCounts(block.Summary, byKey, rows[0].KeyID)
				counts.Merge(added)
				return err
			},
			"keys": func() error {
				added, err := d.Keys(block.Summary, byKey)
				keys.Merge(added)
				return err
			},
		} {
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := add(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	})
}
