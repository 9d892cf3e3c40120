package wal

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// image is the content of a segment, to be damaged.
type image struct {
	salt    uint32
	bytes   []byte
	records []string
	// ends is where the frame of each record ends.
	ends []int
}

func newImage(salt uint32, records ...string) *image {
	m := &image{salt: salt, records: records}
	for _, record := range records {
		m.bytes = appendFrame(m.bytes, salt, time.UnixMilli(1_700_000_000_000), []byte(record))
		m.ends = append(m.ends, len(m.bytes))
	}
	return m
}

// start is where the frame of record i begins.
func (m *image) start(i int) int {
	if i == 0 {
		return 0
	}
	return m.ends[i-1]
}

// hit is the record that a byte belongs to.
func (m *image) hit(offset int) int {
	return slices.IndexFunc(m.ends, func(end int) bool { return offset < end })
}

// others are the records without record i.
func (m *image) others(i int) []string { return slices.Delete(slices.Clone(m.records), i, i+1) }

const otherSalt = 0x5eed

// nasty returns a segment with records that resemble frames.
func nasty(salt uint32) *image {
	now := time.UnixMilli(1_700_000_000_001)
	fake := appendFrame(nil, otherSalt, now, []byte("no record"))
	return newImage(salt,
		"a",
		magic,
		string(fake),
		strings.Repeat(magic, 5),
		"x"+string(fake)+string(fake),
		string(appendFrame(nil, otherSalt, now, nil)), // a probe
		magic+"\x00\x00\x01\x00",
		strings.Repeat("z", 30),
	)
}

// directory is reused with different segments.
type directory struct{ dir string }

// lay replaces the content of the directory by segments and a cursor.
func (f directory) lay(t testing.TB, cursor []byte, segments ...*image) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(f.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	for i, m := range segments {
		f.write(t, segment{seq: uint64(i + 1), salt: m.salt}.name(), m.bytes)
	}
	if cursor != nil {
		f.write(t, cursorFile, cursor)
	}
}

func (f directory) write(t testing.TB, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// recovered is what a process finds when it opens the log.
type recovered struct {
	records []string
	damaged int64
	// inside is set when the log reports damage before a valid record.
	inside bool
	size   int64
}

func (f directory) open(t testing.TB) (found recovered) {
	t.Helper()
	w, seen := openTestWAL(t, f.dir, nil)
	r := w.NewReader()
	found = recovered{records: readAll(t, r), size: w.size, damaged: seen.damaged.Load()}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	mustClose(t, w)
	found.inside = strings.Contains(seen.text(), "segment damaged")
	return found
}

func (found recovered) compare(t *testing.T, what string, want recovered) {
	t.Helper()
	if !slices.Equal(found.records, want.records) {
		t.Fatalf("%s: read %q, want %q", what, found.records, want.records)
	}
	if found.damaged != want.damaged || found.inside != want.inside || found.size != want.size {
		t.Fatalf("%s: %d bytes damaged, inside %v, size %d; want %d, %v, %d", what,
			found.damaged, found.inside, found.size, want.damaged, want.inside, want.size)
	}
}

// settings are the segments behind the damaged one.
var settings = map[string][]*image{
	"the only segment":       nil,
	"before another segment": {newImage(1), newImage(0xbeef, "later 1", "later 2")},
}

func TestEveryTruncationKeepsTheWholeRecordsBeforeIt(t *testing.T) {
	for name, after := range settings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, good := directory{memoryDir(t)}, nasty(0xcafe)
			for cut := range len(good.bytes) + 1 {
				torn := &image{salt: good.salt, bytes: good.bytes[:cut]}
				whole := len(good.ends)
				if cut < len(good.bytes) {
					whole = good.hit(cut)
				}
				want := recovered{records: slices.Clone(good.records[:whole]), size: int64(cut)}
				if cut < len(good.bytes) {
					want.damaged = int64(cut - good.start(whole))
				}
				f.lay(t, nil, append([]*image{torn}, after...)...)
				f.open(t).compare(t, fmt.Sprintf("cut at %d", cut), want.with(after))
			}
		})
	}
}

// with adds undamaged segments.
func (found recovered) with(segments []*image) recovered {
	for _, m := range segments {
		found.records, found.size = append(found.records, m.records...), found.size+int64(len(m.bytes))
	}
	return found
}

func TestEveryFlippedByteCostsTheRecordItHitsAlone(t *testing.T) {
	for name, after := range settings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, good := directory{memoryDir(t)}, nasty(0xcafe)
			for offset := range good.bytes {
				for _, flip := range []byte{0x01, 0x80, 0xff} {
					bad := &image{salt: good.salt, bytes: slices.Clone(good.bytes)}
					bad.bytes[offset] ^= flip
					hit := good.hit(offset)
					broken := bad.bytes[good.start(hit):good.ends[hit]]
					want := recovered{records: good.others(hit), damaged: int64(len(broken)), size: int64(len(bad.bytes))}
					want.inside = hit < len(good.records)-1
					f.lay(t, nil, append([]*image{bad}, after...)...)
					f.open(t).compare(t, fmt.Sprintf("byte %d ^ %#x", offset, flip), want.with(after))
				}
			}
		})
	}
}

// TestASegmentOfAnotherFormatHoldsNoRecord reads what an earlier release wrote, whose frames differ in the magic alone.
func TestASegmentOfAnotherFormatHoldsNoRecord(t *testing.T) {
	f, good := directory{memoryDir(t)}, newImage(0xcafe, "earlier 1", "earlier 2")
	old := &image{salt: good.salt, bytes: bytes.ReplaceAll(good.bytes, []byte(magic), []byte("KTR1"))}
	after := []*image{newImage(0xbeef, "later 1", "later 2")}
	want := recovered{damaged: int64(len(old.bytes)), size: int64(len(old.bytes))}
	f.lay(t, nil, append([]*image{old}, after...)...)
	f.open(t).compare(t, "an earlier release's", want.with(after))
}

func TestADamagedCursorRepeatsAndNeverSkips(t *testing.T) {
	f, first, second := directory{memoryDir(t)}, nasty(0xcafe), newImage(0xbeef, "later 1", "later 2")
	all := append(slices.Clone(first.records), second.records...)
	cursor := formatCursor(Position{Segment: 1, Offset: int64(first.ends[2])})
	opened := func(cursor []byte) []string {
		f.lay(t, cursor, first, second)
		return f.open(t).records
	}
	if got := opened(cursor); !slices.Equal(got, all[3:]) {
		t.Fatalf("the good cursor: read %q, want %q", got, all[3:])
	}
	for n := range cursorBytes {
		if got := opened(cursor[:n]); !slices.Equal(got, all) {
			t.Fatalf("cut at %d: read %q, want all", n, got)
		}
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			bad := slices.Clone(cursor)
			bad[n] ^= flip
			if got := opened(bad); !slices.Equal(got, all) {
				t.Fatalf("byte %d ^ %#x: read %q, want all", n, flip, got)
			}
		}
	}
}
