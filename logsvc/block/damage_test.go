package block

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
)

// withPart returns the block with another part, and right checksums.
func withPart(b encoded, number int, raw []byte) (*Summary, []byte) {
	s, span := *b.Summary, b.parts[number].Span
	s.parts = slices.Clone(s.parts)
	s.parts[number].Length = len(raw)
	return &s, repair(&s, slices.Concat(b.Data[:span.Offset], raw, b.Data[span.Offset+span.Length:]))
}

func TestATextWithoutSomeEndpointsIsDamaged(t *testing.T) {
	e, d := NewEncoder(), NewDecoder()
	b := encode(t, e, d, newTraffic(1, false).rows(300, day, time.Second))
	p := &packer{zstd: e.zstd}
	e.packText(p, e.endpoints.values[:1])
	s, data := withPart(b, partText, p.out)
	for name, q := range map[string]ScanQuery{
		"text first":        {To: uuid.Max, Limit: 5, Filter: Filter{Endpoint: "v1"}},
		"columns first":     {To: uuid.Max, Limit: 5, Filter: Filter{StatusClass: 2}},
		"both in one round": {To: uuid.Max, Limit: 5},
	} {
		if err := scanAll(d, s, data, q); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := d.Entries(s, data); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}

// A chunk is no longer than its endpoints can be. Here, 400 chunks of 1 MiB take 22 KB in compressed form.
func TestMemoryForTextIsBoundedByTheNumberOfEndpoints(t *testing.T) {
	const n = 400
	entries := newTraffic(1, false).rows(n, day, time.Second)
	for i := range entries {
		entries[i].Endpoint = strconv.Itoa(i)
	}
	e, d := NewEncoder(), NewDecoder()
	b := encode(t, e, d, entries)
	p := &packer{zstd: e.zstd}
	p.uvarint(n)
	endpoint := append(bytes.Repeat([]byte("a"), maxChunk-1), 0)
	for range n {
		p.uvarint(1)
		p.uvarint(maxChunk)
		p.run(endpoint)
	}
	s, data := withPart(b, partText, p.out)
	var err error
	got := allocated(func() { _, err = d.Entries(s, data) })
	if limit := uint64(n * (maxEndpoint + maxTexts)); got > limit || !errors.Is(err, ErrDamaged) {
		t.Errorf("%d bytes for %d, want at most %d: %v", got, len(p.out), limit, err)
	}
}

func TestHashesOutOfOrderAreDamaged(t *testing.T) {
	e, d := NewEncoder(), NewDecoder()
	b := encode(t, e, d, newTraffic(1, false).rows(300, day, time.Second))
	for name, c := range map[string]struct {
		keys hashSet
		want error
	}{
		"ascending":  {hashSet{1, 2, 3}, nil},
		"descending": {hashSet{1, 3, 2}, ErrDamaged},
		"repeated":   {hashSet{1, 2, 2}, ErrDamaged},
	} {
		s := *b.Summary
		s.keys = c.keys
		if _, err := d.ParseSummary(s.pack(&packer{zstd: e.zstd})); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCountersAbove16BitsAreDamaged(t *testing.T) {
	e, d := NewEncoder(), NewDecoder()
	b := encode(t, e, d, newTraffic(1, false).rows(1, day, time.Second))
	for counter, want := range map[uint32]error{0xffff: nil, 0x10000: ErrDamaged} {
		p := &packer{zstd: e.zstd}
		column(p, []uint32{counter})
		e.tails.pack(p)
		column(p, e.tails.values)
		column(p, e.page.latency)
		column(p, e.page.flags)
		column(p, e.page.calls)
		s, data := withPart(b, partPages, p.out)
		if _, err := d.Entries(s, data); !errors.Is(err, want) {
			t.Errorf("%#x: %v", counter, err)
		}
	}
}

// Gaps between buckets are added up. Without a limit, 300 bytes would make a histogram of 16 M buckets.
func TestBucketsOfATallyAreBounded(t *testing.T) {
	e, d := NewEncoder(), NewDecoder()
	b := encode(t, e, d, newTraffic(1, false).rows(300, day, time.Second))
	for name, c := range map[string]struct {
		tallies tallies
		want    error
	}{
		"the highest bucket":   {tallies{sizes: []uint32{2}, gaps: []uint32{100, maxBuckets - 102}}, nil},
		"a bucket too high":    {tallies{sizes: []uint32{2}, gaps: []uint32{100, maxBuckets - 101}}, ErrDamaged},
		"fewer than the sizes": {tallies{sizes: []uint32{3}, gaps: []uint32{1, 1}}, ErrDamaged},
		"more than the sizes":  {tallies{sizes: []uint32{1}, gaps: []uint32{1, 1}}, ErrDamaged},
	} {
		c.tallies.hours, c.tallies.unreported, c.tallies.calls = []uint32{0}, []uint64{0}, make([]uint64, len(c.tallies.gaps))
		c.tallies.outcomes.reset()
		c.tallies.outcomes.add(classCode{class: 2})
		p := &packer{zstd: e.zstd}
		c.tallies.pack(p)
		s, data := withPart(b, partStatistics, p.out)
		if _, err := d.Counts(s, fetch(data, []Span{s.CountsSpan()})[0]); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTalliesOfNoKeyAreDamaged(t *testing.T) {
	e, d := NewEncoder(), NewDecoder()
	b := encode(t, e, d, newTraffic(1, false).rows(1, day, time.Second))
	for size, want := range map[uint32]error{0: ErrDamaged, 1: nil, 2: ErrDamaged} {
		p := &packer{zstd: e.zstd}
		p.uvarint(1)
		p.uvarint(18)
		p.run(make([]byte, 18)) // an id and two empty texts
		column(p, []uint32{0})
		column(p, []uint32{0})
		column(p, []uint32{size})
		c := newTallies(millisecond(b.First()))
		c.add(HourClassCode{Hour: c.hour}, &sparseTally{unreported: 1})
		c.pack(p)
		s, data := withPart(b, partKeys, p.out)
		if _, err := d.Keys(s, fetch(data, []Span{s.KeysSpan()})[0]); !errors.Is(err, want) {
			t.Errorf("%d tallies: %v", size, err)
		}
	}
}

func TestFoldChangesNothingButASCIILetters(t *testing.T) {
	for text, want := range map[string]string{"AZaz@[": "azaz@[", "É\u212a": "É\u212a", "A\xffB": "a\xffb"} {
		if got := Fold(text); got != want {
			t.Errorf("%q is folded to %q, want %q", text, got, want)
		}
	}
}
