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

// model is a journal beside the slice that it should be.
type model struct {
	t    *testing.T
	rand *rand.Rand
	j    *Journal
	r    *Reader
	// records are all that were ever appended; the first of them are read, and the first of those released.
	records        []string
	read, released int
	full           int
}

const modelBytes = 4 << 10

func (m *model) open(dir string) {
	m.j, _ = openJournal(m.t, dir, func(o *Options) { o.MaxBytes = modelBytes })
	m.r = m.j.NewReader()
	m.read = m.released
}

func (m *model) append() {
	records, bytes := make([]string, 1+m.rand.IntN(4)), int64(0)
	for i := range records {
		records[i] = fmt.Sprintf("%d %s", len(m.records)+i, strings.Repeat(".", m.rand.IntN(150)))
		bytes += int64(headerBytes + len(records[i]))
	}
	fits := bytesOnDisk(m.t, m.j.options.Dir)+bytes <= modelBytes
	switch err := appendStrings(m.j, records...); {
	case fits && err != nil:
		m.t.Fatal(err)
	case !fits && !errors.Is(err, ErrFull):
		m.t.Fatalf("over the limit Append answered %v", err)
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
			m.t.Fatalf("after %d of %d records Next answered ok = %v", m.read, len(m.records), ok)
		case !ok:
			return
		case string(record.Payload) != m.records[m.read]:
			m.t.Fatalf("record %d: read %q, want %q", m.read, record.Payload, m.records[m.read])
		}
		m.read++
	}
}

func (m *model) release() {
	mustRelease(m.t, m.j, m.r)
	m.released = m.read
}

// rewind goes back to what is not released.
func (m *model) rewind() {
	m.closeReader()
	m.r, m.read = m.j.NewReader(), m.released
}

func (m *model) reopen() {
	m.closeReader()
	mustClose(m.t, m.j)
	m.open(m.j.options.Dir)
}

// crash goes on with the folder as it is now.
func (m *model) crash() {
	crashed := memoryDir(m.t)
	if err := os.CopyFS(crashed, os.DirFS(m.j.options.Dir)); err != nil {
		m.t.Fatal(err)
	}
	m.closeReader()
	mustClose(m.t, m.j)
	m.open(crashed)
}

func (m *model) closeReader() {
	if err := m.r.Close(); err != nil {
		m.t.Fatal(err)
	}
}

// account compares what the journal says of itself with the disk and with the model.
func (m *model) account() {
	if on := bytesOnDisk(m.t, m.j.options.Dir); m.j.size != on {
		m.t.Fatalf("size %d, but %d bytes on disk", m.j.size, on)
	}
	waiting := int64(0)
	for _, record := range m.records[m.released:] {
		waiting += int64(headerBytes + len(record))
	}
	if got := m.j.Waiting(); got != waiting {
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
	j, _ := openJournal(t, t.TempDir(), func(o *Options) { o.MaxBytes = modelBytes })
	// What a first write leaves that found no room on the disk.
	j.mu.Lock()
	err := j.roll()
	j.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, j, strings.Repeat("1", modelBytes/4))
	mustAppend(t, j, strings.Repeat("2", modelBytes/4))
	if files := segmentFiles(t, j.options.Dir); len(files) != 2 {
		t.Errorf("segments %q, want 2", files)
	}
}

func TestALargeAppendLeavesItsRoomWhenItIsReleased(t *testing.T) {
	const large = 40 // records, half of what there is room for
	j, w := openJournal(t, t.TempDir(), func(o *Options) { o.MaxBytes = modelBytes })
	r := newReader(t, j)
	records := slices.Repeat([]string{strings.Repeat("x", modelBytes/2/large-headerBytes)}, large)
	mustAppend(t, j, "before")
	for range 3 {
		mustAppend(t, j, records...)
		if got := readAll(t, r); len(got) < large {
			t.Errorf("%d records are read, want %d", len(got), large)
		}
		mustRelease(t, j, r)
		if on := bytesOnDisk(t, j.options.Dir); j.Waiting() != 0 || j.size != 0 || on != 0 {
			t.Errorf("all is released, and %d bytes wait; size %d, %d bytes on disk", j.Waiting(), j.size, on)
		}
		mustAppend(t, j, records...)
		mustAppend(t, j, "after")
		if got := readAll(t, r); len(got) != large+1 {
			t.Errorf("%d records are read, want %d", len(got), large+1)
		}
		mustRelease(t, j, r)
		mustAppend(t, j, "more")
	}
	mustClose(t, j)
	again, _ := openJournal(t, j.options.Dir, nil)
	if got := readAll(t, newReader(t, again)); !slices.Equal(got, []string{"more"}) || w.damaged.Load() != 0 {
		t.Errorf("the next process reads %q; %d bytes are damaged", got, w.damaged.Load())
	}
}

// TestASegmentThatTakesAllTheRoomIsFreed has something else take all the room but a part of a segment.
func TestASegmentThatTakesAllTheRoomIsFreed(t *testing.T) {
	j, _ := openJournal(t, t.TempDir(), func(o *Options) { o.MaxBytes = modelBytes })
	j.Beside(modelBytes - modelBytes/16)
	r := newReader(t, j)
	record := strings.Repeat("x", modelBytes/16-headerBytes)
	for range 3 {
		mustAppend(t, j, record)
		if err := appendStrings(j, "more"); !errors.Is(err, ErrFull) {
			t.Errorf("a journal without room answers %v", err)
		}
		if got := readAll(t, r); len(got) != 1 {
			t.Errorf("%d records are read", len(got))
		}
		mustRelease(t, j, r)
	}
}
