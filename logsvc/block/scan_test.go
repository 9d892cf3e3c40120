package block

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

func fetch(data []byte, spans []Span) [][]byte {
	var parts [][]byte
	for _, span := range spans {
		parts = append(parts, data[span.Offset:][:span.Length])
	}
	return parts
}

// run carries out a scan, which reads no part twice.
func run(t testing.TB, d *Decoder, b encoded, q ScanQuery) *Scan {
	t.Helper()
	scan := d.NewScan(b.Summary, q)
	read := map[Span]bool{}
	for spans := scan.Spans(); len(spans) > 0; spans = scan.Spans() {
		for _, span := range spans {
			if read[span] {
				t.Fatalf("%+v is read twice", span)
			}
			read[span] = true
		}
		if err := scan.Feed(fetch(b.Data, spans)); err != nil {
			t.Fatal(err)
		}
	}
	return scan
}

func randomScan(r *rand.Rand, entries []Entry) ScanQuery {
	q := ScanQuery{Filter: randomFilter(r, entries), To: uuid.Max, Limit: 1 + r.IntN(50)}
	bound := func() uuid.UUID {
		id := entries[r.IntN(len(entries))].ID
		switch r.IntN(4) {
		case 0:
			id[15]++ // mostly, no entry has it
		case 1:
			clear(id[6:]) // the bound of a time
		}
		return id
	}
	if r.IntN(2) == 0 {
		q.From = bound()
	}
	if r.IntN(2) == 0 {
		q.To = bound()
	}
	if compare(q.From, q.To) >= 0 {
		q.From = uuid.Nil
	}
	switch r.IntN(6) {
	case 0, 1:
		q.Limit = len(entries)
	case 2:
		q.Limit = 0
	}
	q.NoEndpoints = q.Filter.Endpoint == "" && r.IntN(4) == 0
	for range max(r.IntN(20)-10, 0) {
		q.Always = append(q.Always, bound())
	}
	return q
}

// checkScan compares a scan with the entries.
func checkScan(t testing.TB, entries []Entry, q ScanQuery, scan *Scan) {
	t.Helper()
	var want []Entry
	count, last, more := 0, uuid.Nil, false
	for _, e := range slices.Backward(entries) {
		switch {
		case slices.Contains(q.Always, e.ID):
			want = append(want, e)
		case compare(e.ID, q.From) < 0 || compare(e.ID, q.To) >= 0 || !q.Filter.Match(&e):
		case count == q.Limit:
			more = true
		default:
			count++
			want, last = append(want, e), e.ID
		}
	}
	if q.NoEndpoints {
		for i := range want {
			want[i].Endpoint = ""
		}
	}
	if !slices.Equal(want, scan.Entries()) {
		t.Errorf("%+v: %s", q, cmp.Diff(want, scan.Entries()))
	}
	if q.Limit == 0 {
		return
	}
	end := q.From
	if first := entries[0].ID; compare(first, q.From) > 0 && compare(first, q.To) < 0 {
		end = first
	}
	switch got := scan.SearchedTo(); {
	case more && got != last, count < q.Limit && got != end, got != last && got != end, compare(got, q.To) >= 0:
		t.Errorf("%+v: searched to %v, the last match is %v, more: %v", q, got, last, more)
	}
}

func TestScanFindsWhatTheFilterSelects(t *testing.T) {
	found := 0
	eachRandomBlock(t, func(t *testing.T, r *rand.Rand, d *Decoder, b encoded) {
		for range 30 {
			q := randomScan(r, b.entries)
			scan := run(t, d, b, q)
			checkScan(t, b.entries, q, scan)
			found += len(scan.Entries())
		}
	})
	if found < 1000 {
		t.Errorf("only %d entries found", found)
	}
}

func TestDecodersAreSafeForConcurrentUse(t *testing.T) {
	d := NewDecoder()
	b := encode(t, NewEncoder(), d, randomBlock(rand.New(rand.NewPCG(1, 1)), 3000))
	var wg sync.WaitGroup
	for seed := range uint64(8) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, 3))
			for range 5 {
				q := randomScan(r, b.entries)
				checkScan(t, b.entries, q, run(t, d, b, q))
			}
			got, err := d.Entries(b.Summary, b.Data)
			checkEntries(t, b.entries, got, err)
		})
	}
	wg.Wait()
}

// Pages of one millisecond continue where the last one ended.
func TestPagesWithinOneMillisecondReachEveryRow(t *testing.T) {
	d := NewDecoder()
	b := encode(t, NewEncoder(), d, newTraffic(5, false).rows(5000, day, 0))
	for _, f := range []Filter{{}, {StatusClass: 2}, {Endpoint: "item"}} {
		var want, got []Entry
		for _, e := range slices.Backward(b.entries) {
			if f.Match(&e) {
				want = append(want, e)
			}
		}
		for to, pages := uuid.Max, 0; compare(to, b.First()) > 0 && pages < 100; pages++ {
			scan := run(t, d, b, ScanQuery{Filter: f, To: to, Limit: 300})
			got, to = append(got, scan.Entries()...), scan.SearchedTo()
		}
		checkEntries(t, want, got, nil)
	}
}

func (b encoded) First() uuid.UUID { return b.entries[0].ID }

func TestScanReadsNoMoreThanItNeeds(t *testing.T) {
	d := NewDecoder()
	b := encode(t, NewEncoder(), d, newTraffic(5, false).rows(5*pageRows, day, time.Second))
	for _, c := range []struct {
		name   string
		query  ScanQuery
		rounds [][]int
	}{
		{"the newest page", ScanQuery{Limit: 50}, [][]int{{partColumns, partText, partPages + 4}}},
		{"an older page", ScanQuery{To: b.entries[3*pageRows].ID, Limit: 50},
			[][]int{{partColumns}, {partText, partPages + 3, partPages + 2}}},
		{"an absent endpoint", ScanQuery{Filter: Filter{Endpoint: "absent"}, Limit: 50}, [][]int{{partText}}},
		{"a rare endpoint", ScanQuery{Filter: Filter{Endpoint: rare(b.entries)}, Limit: 50},
			[][]int{{partText}, {partColumns}, {partPages}}},
		{"an absent key", ScanQuery{Filter: Filter{KeyID: key1}, Limit: 50}, [][]int{{partColumns}}},
		{"the newest page without endpoints", ScanQuery{Limit: 50, NoEndpoints: true}, [][]int{{partColumns, partPages + 4}}},
		{"a class without endpoints", ScanQuery{Filter: Filter{StatusClass: 2}, Limit: 50, NoEndpoints: true},
			[][]int{{partColumns}, {partPages + 4}}},
		{"one id", ScanQuery{Filter: Filter{KeyID: key1}, Limit: 1, Always: []uuid.UUID{b.entries[pageRows].ID}},
			[][]int{{partColumns}, {partText, partPages + 1}}},
	} {
		if c.query.To == uuid.Nil {
			c.query.To = uuid.Max
		}
		scan := d.NewScan(b.Summary, c.query)
		var rounds [][]int
		for len(scan.Spans()) > 0 {
			rounds = append(rounds, scan.wanted)
			if err := scan.Feed(fetch(b.Data, scan.Spans())); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(c.rounds, rounds); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

// rare returns an endpoint that only the first page has.
func rare(entries []Entry) string {
	for _, e := range entries {
		if len(e.Endpoint) > 45 {
			return e.Endpoint
		}
	}
	return ""
}
