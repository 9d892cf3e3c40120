package block

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// encoded is a block and its parsed summary.
type encoded struct {
	Packed
	*Summary
	entries []Entry
}

func encode(t testing.TB, e *Encoder, d *Decoder, entries []Entry) encoded {
	t.Helper()
	packed, err := e.Encode(entries)
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.ParseSummary(packed.Summary)
	if err != nil {
		t.Fatal(err)
	}
	return encoded{packed, s, entries}
}

// checkEntries compares. cmp is slow, and only says what differs.
func checkEntries(t testing.TB, want, got []Entry, err error) {
	t.Helper()
	if !slices.Equal(want, got) || err != nil {
		t.Error(err, cmp.Diff(want, got))
	}
}

// eachRandomBlock runs a test on blocks of every shape and size.
func eachRandomBlock(t *testing.T, run func(t *testing.T, r *rand.Rand, d *Decoder, b encoded)) {
	e, d := NewEncoder(), NewDecoder()
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		rows := []int{1, 2, 100, pageRows - 1, pageRows, pageRows + 1, 5000}[seed%7]
		run(t, r, d, encode(t, e, d, randomBlock(r, rows)))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestEntriesAreWhatWasEncoded(t *testing.T) {
	eachRandomBlock(t, func(t *testing.T, _ *rand.Rand, d *Decoder, b encoded) {
		got, err := d.Entries(b.Summary, b.Data)
		checkEntries(t, b.entries, got, err)
	})
}

func TestTheLargestBlockIsWhatWasEncoded(t *testing.T) {
	e, d := NewEncoder(), NewDecoder()
	b := encode(t, e, d, newTraffic(3, false).rows(MaxRows, day, time.Second))
	got, err := d.Entries(b.Summary, b.Data)
	checkEntries(t, b.entries, got, err)
}

// Texts of several chunks, as long as the contract allows.
func TestTheLongestTextsAreWhatWasEncoded(t *testing.T) {
	g := newTraffic(4, true)
	entries := g.rows(3000, day, time.Second)
	for i := range entries {
		e := &entries[i]
		e.Endpoint = strings.Repeat("/", 2028) + g.hex(20)
		e.KeyName, e.KeyLast4, e.ExternalID = strings.Repeat("😀", 100), strings.Repeat("😀", 4), strings.Repeat("x", 255)
		e.AgentType, e.AgentID, e.Method = strings.Repeat("a", 63), g.hex(20)+strings.Repeat("😀", 235), strings.Repeat("M", 32)
		e.ErrorCode, e.Cause = strings.Repeat("e", 63), strings.Repeat("c", 63)
	}
	d := NewDecoder()
	b := encode(t, NewEncoder(), d, entries)
	got, err := d.Entries(b.Summary, b.Data)
	checkEntries(t, entries, got, err)
	for _, at := range []int{0, 700, 2999} {
		needle := entries[at].Endpoint[2020:]
		scan := run(t, d, b, ScanQuery{Filter: Filter{Endpoint: needle}, To: uuid.Max, Limit: 2})
		checkEntries(t, entries[at:at+1], scan.Entries(), nil)
	}
}

func TestExtremeValuesAreWhatWasEncoded(t *testing.T) {
	entries := []Entry{
		{ID: uuid.Nil},
		{ID: uuid.MustParse("00000000-0000-0000-0000-000000000001"), Reported: true, CallCount: math.MaxInt32},
		{
			ID: uuid.MustParse("00000000-0001-ffff-ffff-ffffffffffff"), Reported: true, Latency: 24 * time.Hour, Status: 599,
			FromReport: true,
		},
		{ID: uuid.MustParse("0000ffff-ffff-0000-0000-000000000000"), Status: math.MaxInt32, CallCount: 1},
	}
	d := NewDecoder()
	b := encode(t, NewEncoder(), d, entries)
	got, err := d.Entries(b.Summary, b.Data)
	checkEntries(t, entries, got, err)
}

func TestEntriesThatABlockCannotHaveAreRefused(t *testing.T) {
	one := newTraffic(1, false).rows(1, day, time.Second)[0]
	changed := func(change func(*Entry)) []Entry {
		e := one
		change(&e)
		return []Entry{e}
	}
	for name, entries := range map[string][]Entry{
		"none":                 nil,
		"too many":             make([]Entry, MaxRows+1),
		"the same twice":       {one, one},
		"50 days":              {one, changed(func(e *Entry) { e.ID[1]++ })[0]},
		"a NUL in an endpoint": changed(func(e *Entry) { e.Endpoint = "/\x00" }),
		"an endpoint too long": changed(func(e *Entry) { e.Endpoint = strings.Repeat("x", maxEndpoint+1) }),
		"other texts too long": changed(func(e *Entry) { e.AgentID = strings.Repeat("x", maxTexts) }),
	} {
		if _, err := NewEncoder().Encode(entries); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestABlockThatMatchesIsNeverPassedOver(t *testing.T) {
	passed, blocks := 0, 0
	eachRandomBlock(t, func(t *testing.T, r *rand.Rand, _ *Decoder, b encoded) {
		for range 200 {
			f := randomFilter(r, b.entries)
			matches := 0
			for i := range b.entries {
				if f.Match(&b.entries[i]) {
					matches++
				}
			}
			blocks++
			switch may := b.MayMatch(f); {
			case !may && matches > 0:
				t.Fatalf("%d entries match %+v", matches, f)
			case !may:
				passed++
			}
		}
	})
	if passed < blocks/10 {
		t.Errorf("only %d of %d blocks were passed over", passed, blocks)
	}
}

func TestBlocksWithoutAValueArePassedOver(t *testing.T) {
	d := NewDecoder()
	b := encode(t, NewEncoder(), d, newTraffic(1, false).rows(5000, day, time.Second))
	for _, f := range []Filter{
		{StatusClass: 3}, {InProgress: true}, {KeyID: key1}, {ErrorCode: "expired"}, {AgentType: "other"}, {AgentID: "agent-1"},
		{Endpoint: "?"}, {Endpoint: "é"}, {Endpoint: "zq"}, {Endpoint: "ZQ"}, {Endpoint: "/v1/agents//"},
	} {
		if b.MayMatch(f) {
			t.Errorf("the block may match %+v", f)
		}
	}
}

func TestASummaryOfAnotherVersionIsRefused(t *testing.T) {
	d := NewDecoder()
	b := encode(t, NewEncoder(), d, newTraffic(1, false).rows(1, day, time.Second))
	for _, other := range []byte{0, version + 1} {
		b.Packed.Summary[0] = other
		if _, err := d.ParseSummary(b.Packed.Summary); !errors.Is(err, ErrDamaged) ||
			!strings.Contains(err.Error(), "version "+strconv.Itoa(int(other))) {
			t.Error(err)
		}
	}
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	d := NewDecoder()
	for _, size := range []struct{ rows, step int }{{20, 1}, {5000, 997}} {
		b := encode(t, NewEncoder(), d, newTraffic(1, false).rows(size.rows, day, time.Second))
		for bit := 0; bit < 8*len(b.Packed.Summary); bit++ {
			flip(b.Packed.Summary, bit)
			if _, err := d.ParseSummary(b.Packed.Summary); !errors.Is(err, ErrDamaged) {
				t.Fatalf("bit %d of the summary: %v", bit, err)
			}
			flip(b.Packed.Summary, bit)
		}
		for bit := 0; bit < 8*len(b.Data); bit += size.step {
			flip(b.Data, bit)
			if _, err := d.Entries(b.Summary, b.Data); !errors.Is(err, ErrDamaged) {
				t.Fatalf("bit %d of the data: %v", bit, err)
			}
			checkParts(t, d, b, bit/8)
			flip(b.Data, bit)
		}
	}
}

func flip(raw []byte, bit int) { raw[bit/8] ^= 1 << (bit % 8) }

// checkParts reads the part of a damaged byte by the method for it.
func checkParts(t *testing.T, d *Decoder, b encoded, at int) {
	has := func(span Span) bool { return span.Offset <= at && at < span.Offset+span.Length }
	var err error
	switch {
	case has(b.CountsSpan()):
		_, err = d.Counts(b.Summary, b.part(partStatistics))
	case has(b.KeysSpan()):
		_, err = d.Keys(b.Summary, b.part(partKeys))
		if _, err := d.KeyCounts(b.Summary, b.part(partKeys), key1); !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d: %v", at, err)
		}
	default:
		scan := d.NewScan(b.Summary, ScanQuery{To: uuid.Max, Limit: MaxRows})
		for err == nil && len(scan.Spans()) > 0 {
			err = scan.Feed(fetch(b.Data, scan.Spans()))
		}
	}
	if !errors.Is(err, ErrDamaged) {
		t.Fatalf("byte %d: %v", at, err)
	}
}

// part returns the bytes of a part.
func (b encoded) part(number int) []byte { return fetch(b.Data, []Span{b.parts[number].Span})[0] }

func TestTruncatedBytesAreFound(t *testing.T) {
	d := NewDecoder()
	b := encode(t, NewEncoder(), d, newTraffic(1, false).rows(100, day, time.Second))
	for n := range b.Packed.Summary {
		if _, err := d.ParseSummary(b.Packed.Summary[:n]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("%d bytes of the summary: %v", n, err)
		}
	}
	for n := range b.Data {
		if _, err := d.Entries(b.Summary, b.Data[:n]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("%d bytes of the data: %v", n, err)
		}
	}
	for n := range b.part(partStatistics) {
		if _, err := d.Counts(b.Summary, b.part(partStatistics)[:n]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("%d bytes of the counts: %v", n, err)
		}
	}
	for n := range b.part(partKeys) {
		if _, err := d.Keys(b.Summary, b.part(partKeys)[:n]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("%d bytes of the keys: %v", n, err)
		}
	}
}
