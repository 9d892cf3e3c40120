package block

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/google/uuid"
)

// FuzzEncode encodes blocks of every shape, and compares what is read from them.
func FuzzEncode(f *testing.F) {
	e, d := NewEncoder(), NewDecoder()
	f.Add(uint64(1), uint16(1))
	f.Add(uint64(2), uint16(3000))
	f.Fuzz(func(t *testing.T, seed uint64, rows uint16) {
		r := rand.New(rand.NewPCG(seed, 2))
		b := encode(t, e, d, randomBlock(r, 1+int(rows)%3000))
		got, err := d.Entries(b.Summary, b.Data)
		checkEntries(t, b.entries, got, err)
		q := randomScan(r, b.entries)
		checkScan(t, b.entries, q, run(t, d, b, q))
	})
}

// FuzzDecode decodes any bytes as a block. The checksums, which would refuse nearly all of them, are set right.
func FuzzDecode(f *testing.F) {
	e, d := NewEncoder(), NewDecoder()
	for _, rows := range []int{1, 30, 300, 3000} {
		for _, entries := range [][]Entry{
			newTraffic(1, rows > 30).rows(rows, day, time.Second), randomBlock(rand.New(rand.NewPCG(1, 1)), rows),
		} {
			packed, err := e.Encode(entries)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(packed.Summary[:len(packed.Summary)-4], packed.Data)
		}
	}
	old := version1(f)
	f.Add(old.Packed.Summary[:len(old.Packed.Summary)-4], old.Data)
	f.Fuzz(func(t *testing.T, body, data []byte) {
		summary := binary.LittleEndian.AppendUint32(body[:len(body):len(body)], checksum(body))
		s, err := d.ParseSummary(summary)
		checkDamaged(t, err)
		if err != nil {
			return
		}
		data = repair(s, data)
		_, err = d.Entries(s, data)
		checkDamaged(t, err)
		if s.HasCounts() {
			checkCounts(t, d, s, data)
		}
		for _, q := range []ScanQuery{
			{To: uuid.Max, Limit: 1},
			{To: s.Last, Limit: s.Rows, Filter: Filter{StatusClass: 2}, Always: []uuid.UUID{s.First}},
			{From: s.First, To: uuid.Max, Limit: 5, Filter: Filter{Endpoint: "a"}},
		} {
			s.MayMatch(q.Filter)
			checkDamaged(t, scanAll(d, s, data, q))
		}
	})
}

func checkCounts(t *testing.T, d *Decoder, s *Summary, data []byte) {
	t.Helper()
	parts := fetch(data, []Span{s.CountsSpan(), s.KeysSpan()})
	_, err := d.Counts(s, parts[0])
	checkDamaged(t, err)
	keys, err := d.Keys(s, parts[1])
	checkDamaged(t, err)
	for id := range keys {
		_, err = d.KeyCounts(s, parts[1], id)
		checkDamaged(t, err)
	}
}

func checkDamaged(t *testing.T, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}

// repair makes data as long as the summary says, up to a limit, and the checksums right.
func repair(s *Summary, data []byte) []byte {
	const longest = 8 << 20
	offset := 0
	for i := range s.parts {
		s.parts[i].Offset, s.parts[i].Length = offset, min(s.parts[i].Length, longest-offset)
		offset += s.parts[i].Length
	}
	data = append(append([]byte(nil), data[:min(len(data), offset)]...), make([]byte, max(offset-len(data), 0))...)
	for i, p := range s.parts {
		s.parts[i].checksum = checksum(data[p.Offset:][:p.Length])
	}
	return data
}

func scanAll(d *Decoder, s *Summary, data []byte, q ScanQuery) error {
	scan := d.NewScan(s, q)
	for len(scan.Spans()) > 0 {
		if err := scan.Feed(fetch(data, scan.Spans())); err != nil {
			return err
		}
	}
	return nil
}

// What claims to be large is refused before there is memory for it.
func TestMemoryIsBounded(t *testing.T) {
	d := NewDecoder()
	b := encode(t, NewEncoder(), d, newTraffic(1, false).rows(MaxRows, day, time.Second))
	limit := allocated(func() { readAll(d, b.Summary, b.Data) })
	r := rand.New(rand.NewPCG(1, 1))
	for range 40 {
		s := *b.Summary
		s.parts = append([]part(nil), s.parts...)
		data := append([]byte(nil), b.Data...)
		for range 20 {
			i := r.IntN(len(s.parts))
			data[s.parts[i].Offset+r.IntN(min(s.parts[i].Length, 50))] = byte(r.Uint32())
		}
		data = repair(&s, data)
		if got := allocated(func() { readAll(d, &s, data) }); got > 2*limit+maxTexts*MaxRows {
			t.Fatalf("%d bytes, %d for a block that is not damaged", got, limit)
		}
	}
}

func readAll(d *Decoder, s *Summary, data []byte) {
	parts := fetch(data, []Span{s.CountsSpan(), s.KeysSpan()})
	_, _ = d.Entries(s, data)
	_, _ = d.Counts(s, parts[0])
	_, _ = d.Keys(s, parts[1])
}

func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
