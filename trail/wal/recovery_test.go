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

// image is what a process leaves on the disk, to be damaged.
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

// nasty are records that a reader could stumble over.
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

// folder holds segments for one opening after the other.
type folder struct{ dir string }

// lay makes the folder hold segments, by number, and a cursor.
func (f folder) lay(t testing.TB, cursor []byte, segments ...*image) {
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

func (f folder) write(t testing.TB, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// recovered is what a start finds.
type recovered struct {
	records []string
	damaged int64
	aside   []byte // what the files set aside hold, together
	size    int64
}

func (f folder) open(t testing.TB) (found recovered) {
	t.Helper()
	j, w := openJournal(t, f.dir, nil)
	r := j.NewReader()
	found = recovered{records: readAll(t, r), size: j.size, damaged: w.damaged.Load()}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	mustClose(t, j)
	files, err := filepath.Glob(filepath.Join(f.dir, "*.damaged"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found.aside = append(found.aside, content...)
	}
	return found
}

func (found recovered) compare(t *testing.T, what string, want recovered) {
	t.Helper()
	if !slices.Equal(found.records, want.records) {
		t.Fatalf("%s: read %q, want %q", what, found.records, want.records)
	}
	if found.damaged != want.damaged || !bytes.Equal(found.aside, want.aside) || found.size != want.size {
		t.Fatalf("%s: %d bytes damaged, %q set aside, size %d; want %d, %q, %d", what,
			found.damaged, found.aside, found.size, want.damaged, want.aside, want.size)
	}
}

// settings are what stands behind the segment that is damaged.
var settings = map[string][]*image{
	"the only segment":       nil,
	"before another segment": {newImage(1), newImage(0xbeef, "later 1", "later 2")},
}

func TestEveryTruncationKeepsTheWholeRecordsBeforeIt(t *testing.T) {
	for name, after := range settings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, good := folder{memoryDir(t)}, nasty(0xcafe)
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

// with adds segments that are good.
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
			f, good := folder{memoryDir(t)}, nasty(0xcafe)
			for offset := range good.bytes {
				for _, flip := range []byte{0x01, 0x80, 0xff} {
					bad := &image{salt: good.salt, bytes: slices.Clone(good.bytes)}
					bad.bytes[offset] ^= flip
					hit := good.hit(offset)
					broken := bad.bytes[good.start(hit):good.ends[hit]]
					want := recovered{records: good.others(hit), damaged: int64(len(broken)), size: int64(len(bad.bytes))}
					if hit < len(good.records)-1 {
						want.aside = broken
					}
					f.lay(t, nil, append([]*image{bad}, after...)...)
					f.open(t).compare(t, fmt.Sprintf("byte %d ^ %#x", offset, flip), want.with(after))
				}
			}
		})
	}
}

// TestASegmentOfAnotherFormatHoldsNoRecord reads what an earlier release wrote, whose frames differ in the magic alone.
func TestASegmentOfAnotherFormatHoldsNoRecord(t *testing.T) {
	f, good := folder{memoryDir(t)}, newImage(0xcafe, "earlier 1", "earlier 2")
	old := &image{salt: good.salt, bytes: bytes.ReplaceAll(good.bytes, []byte(magic), []byte("KTR1"))}
	after := []*image{newImage(0xbeef, "later 1", "later 2")}
	want := recovered{damaged: int64(len(old.bytes)), size: int64(len(old.bytes))}
	f.lay(t, nil, append([]*image{old}, after...)...)
	f.open(t).compare(t, "an earlier release's", want.with(after))
}

func TestADamagedCursorRepeatsAndNeverSkips(t *testing.T) {
	f, first, second := folder{memoryDir(t)}, nasty(0xcafe), newImage(0xbeef, "later 1", "later 2")
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
