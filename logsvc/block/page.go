package block

import (
	"encoding/binary"
	"time"
)

// pageRows is the number of rows of a page. The last page has the rest.
const pageRows = 2048

const (
	flagReported   = 1
	flagFromReport = 2
)

// page is what only results need. The low half of an id is the same for all ids that one process made in an hour, or random.
type page struct {
	counters []uint16 // bytes 6 and 7 of the id
	latency  []uint64 // µs
	flags    []uint8
	calls    []uint64

	tails      []uint32 // numbers of bytes 8 to 15; the encoder has them in a dictionary
	tailValues []uint64
}

func (e *Encoder) packPage(p *packer, entries []Entry) {
	g := &e.page
	g.counters, g.latency, g.flags, g.calls = g.counters[:0], g.latency[:0], g.flags[:0], g.calls[:0]
	e.tails.reset()
	for i := range entries {
		entry := &entries[i]
		g.counters = append(g.counters, binary.BigEndian.Uint16(entry.ID[6:]))
		e.tails.add(binary.BigEndian.Uint64(entry.ID[8:]))
		g.calls = append(g.calls, uint64(entry.CallCount))
		latency, flags := uint64(0), uint8(0)
		if entry.Reported {
			latency, flags = uint64(entry.Latency.Microseconds()), flagReported
		}
		if entry.FromReport {
			flags |= flagFromReport
		}
		g.latency, g.flags = append(g.latency, latency), append(g.flags, flags)
	}
	column(p, g.counters)
	e.tails.pack(p)
	column(p, e.tails.values)
	column(p, g.latency)
	column(p, g.flags)
	column(p, g.calls)
}

func readPage(u *unpacker, n int) (*page, error) {
	g := &page{counters: readColumn[uint16](u, n)}
	var tails int
	g.tails, tails = readNumbers(u, n)
	g.tailValues = readColumn[uint64](u, tails)
	g.latency = readColumn[uint64](u, n)
	g.flags = readColumn[uint8](u, n)
	g.calls = readColumn[uint64](u, n)
	return g, u.end()
}

// fill sets the fields of an entry that are in the page.
func (g *page) fill(e *Entry, row int) {
	binary.BigEndian.PutUint16(e.ID[6:], g.counters[row])
	binary.BigEndian.PutUint64(e.ID[8:], g.tailValues[g.tails[row]])
	e.Latency = time.Duration(g.latency[row]) * time.Microsecond
	e.Reported, e.FromReport = g.flags[row]&flagReported != 0, g.flags[row]&flagFromReport != 0
	e.CallCount = int(g.calls[row])
}
