package wal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// model compares a log with a slice of records.
type model struct {
	t    *testing.T
	rand *rand.Rand
	w    *WAL
	r    *Reader
	// records are all records ever appended; read and released are how many of them were read and released.
	records        []string
	read, released int
	full           int
}

const modelBytes = 4 << 10

func (m *model) open(dir string) {
	m.w, _ = openTestWAL(m.t, dir, func(o *Options) { o.MaxBytes = modelBytes })
	m.r = m.w.NewReader()
	m.read = m.released
}

func (m *model) append() {
	records, bytes := make([]string, 1+m.rand.IntN(4)), int64(0)
	for i := range records {
		records[i] = fmt.Sprintf("%d %s", len(m.records)+i, strings.Repeat(".", m.rand.IntN(150)))
		bytes += int64(headerBytes + len(records[i]))
	}
	fits := bytesOnDisk(m.t, m.w.options.Dir)+bytes <= modelBytes
	switch err := appendStrings(m.w, records...); {
	case fits && err != nil:
		m.t.Fatal(err)
	case !fits && !errors.Is(err, ErrFull):
		m.t.Fatalf("over the limit Append returned %v", err)
	case fits:
		m.records = append(m.records, records...)
	default:
		m.full++
	}
}

// next reads some records.
func (m *model) next() {
	for range m.rand.IntN(8) {
		record, ok, err := m.r.Next()
		switch {
		case err != nil:
			m.t.Fatal(err)
		case ok != (m.read < len(m.records)):
			m.t.Fatalf("after %d of %d records Next returned ok = %v", m.read, len(m.records), ok)
		case !ok:
			return
		case string(record.Payload) != m.records[m.read]:
			m.t.Fatalf("record %d: read %q, want %q", m.read, record.Payload, m.records[m.read])
		}
		m.read++
	}
}

func (m *model) release() {
	mustRelease(m.t, m.w, m.r)
	m.released = m.read
}

// rewind goes back to the first record that is not released.
func (m *model) rewind() {
	m.closeReader()
	m.r, m.read = m.w.NewReader(), m.released
}

func (m *model) reopen() {
	m.closeReader()
	mustClose(m.t, m.w)
	m.open(m.w.options.Dir)
}

// crash goes on with the directory as it is now.
func (m *model) crash() {
	crashed := memoryDir(m.t)
	if err := os.CopyFS(crashed, os.DirFS(m.w.options.Dir)); err != nil {
		m.t.Fatal(err)
	}
	m.closeReader()
	mustClose(m.t, m.w)
	m.open(crashed)
}

func (m *model) closeReader() {
	if err := m.r.Close(); err != nil {
		m.t.Fatal(err)
	}
}

// account compares the sizes that the log reports with the disk and with the model.
func (m *model) account() {
	if on := bytesOnDisk(m.t, m.w.options.Dir); m.w.size != on {
		m.t.Fatalf("size %d, but %d bytes on disk", m.w.size, on)
	}
	waiting := int64(0)
	for _, record := range m.records[m.released:] {
		waiting += int64(headerBytes + len(record))
	}
	if got := m.w.BacklogBytes(); got != waiting {
		m.t.Fatalf("%d bytes waiting, want %d", got, waiting)
	}
}

func TestAgainstAModel(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			m := &model{t: t, rand: rand.New(rand.NewPCG(seed, 0))}
			m.open(memoryDir(t))
			defer func() { m.closeReader() }()
			often := []func(){m.append, m.append, m.next, m.next}
			steps := slices.Concat(often, often, often, []func(){m.release, m.release, m.rewind, m.reopen, m.crash})
			for range 400 {
				steps[m.rand.IntN(len(steps))]()
				m.account()
			}
			if len(m.records) < 200 || m.full == 0 {
				t.Errorf("%d records appended, %d refused: this tests little", len(m.records), m.full)
			}
		})
	}
}

func TestALargerAppendThanASegmentLeavesNoEmptyFile(t *testing.T) {
	w, _ := openTestWAL(t, t.TempDir(), func(o *Options) { o.MaxBytes = modelBytes })
	// An empty segment, as after a first write on a full disk.
	if _, err := w.startSegment(); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, w, strings.Repeat("1", modelBytes/4))
	mustAppend(t, w, strings.Repeat("2", modelBytes/4))
	if files := segmentFiles(t, w.options.Dir); len(files) != 2 {
		t.Errorf("segments %q, want 2", files)
	}
}

func TestALargeAppendLeavesItsRoomWhenItIsReleased(t *testing.T) {
	const large = 40 // records, half of what there is room for
	w, seen := openTestWAL(t, t.TempDir(), func(o *Options) { o.MaxBytes = modelBytes })
	r := newReader(t, w)
	records := slices.Repeat([]string{strings.Repeat("x", modelBytes/2/large-headerBytes)}, large)
	mustAppend(t, w, "before")
	for range 3 {
		mustAppend(t, w, records...)
		if got := readAll(t, r); len(got) < large {
			t.Errorf("%d records are read, want %d", len(got), large)
		}
		mustRelease(t, w, r)
		if on := bytesOnDisk(t, w.options.Dir); w.BacklogBytes() != 0 || w.size != 0 || on != 0 {
			t.Errorf("all is released, and %d bytes wait; size %d, %d bytes on disk", w.BacklogBytes(), w.size, on)
		}
		mustAppend(t, w, records...)
		mustAppend(t, w, "after")
		if got := readAll(t, r); len(got) != large+1 {
			t.Errorf("%d records are read, want %d", len(got), large+1)
		}
		mustRelease(t, w, r)
		mustAppend(t, w, "more")
	}
	mustClose(t, w)
	again, _ := openTestWAL(t, w.options.Dir, nil)
	if got := readAll(t, newReader(t, again)); !slices.Equal(got, []string{"more"}) || seen.damaged.Load() != 0 {
		t.Errorf("the next process reads %q; %d bytes are damaged", got, seen.damaged.Load())
	}
}

// TestASegmentThatTakesAllTheRoomIsFreed has external files use almost all of MaxBytes.
func TestASegmentThatTakesAllTheRoomIsFreed(t *testing.T) {
	w, _ := openTestWAL(t, t.TempDir(), func(o *Options) { o.MaxBytes = modelBytes })
	w.SetExternalBytes(modelBytes - modelBytes/16)
	r := newReader(t, w)
	record := strings.Repeat("x", modelBytes/16-headerBytes)
	for range 3 {
		mustAppend(t, w, record)
		if err := appendStrings(w, "more"); !errors.Is(err, ErrFull) {
			t.Errorf("a log without room results %v", err)
		}
		if got := readAll(t, r); len(got) != 1 {
			t.Errorf("%d records are read", len(got))
		}
		mustRelease(t, w, r)
	}
}
