package block

import (
	"encoding/binary"
	"slices"
	"time"
)

// pageRows is the number of rows of a page. The last page has the rest.
const pageRows = 2048

// maxTails is the most distinct low halves of ids that a page has a list of.
const maxTails = 255

const (
	flagReported   = 1
	flagFromReport = 2
)

// page is what only results need. The low half of an id is the same for all ids that one process made in an hour, or random.
type page struct {
	counters []uint32 // bytes 6 and 7 of the id
	tails    []uint64 // bytes 8 to 15
	latency  []uint64 // µs
	flags    []uint8
	calls    []uint64
}

func (e *Encoder) packPage(p *packer, entries []Entry) {
	g := &e.page
	g.counters, g.tails, g.latency, g.flags, g.calls = g.counters[:0], g.tails[:0], g.latency[:0], g.flags[:0], g.calls[:0]
	for i := range entries {
		entry := &entries[i]
		g.counters = append(g.counters, uint32(binary.BigEndian.Uint16(entry.ID[6:])))
		g.tails = append(g.tails, binary.BigEndian.Uint64(entry.ID[8:]))
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
	packTails(p, g.tails)
	column(p, g.latency)
	column(p, g.flags)
	column(p, g.calls)
}

// packTails packs the low halves of ids: as they are, or as a list of those that occur, by first occurrence, and for each row
// how many others were used since its own was used last.
func packTails(p *packer, tails []uint64) {
	var known, recent []uint64
	ranks := make([]uint8, len(tails))
	for row, tail := range tails {
		rank := slices.Index(recent, tail)
		if rank < 0 {
			if len(known) == maxTails || 2*len(known) > len(tails) {
				p.uvarint(0)
				column(p, tails)
				return
			}
			rank = len(known)
			known, recent = append(known, tail), append(recent, tail)
		}
		ranks[row] = uint8(rank)
		moveToFront(recent, rank)
	}
	p.uvarint(uint64(len(known)))
	for _, tail := range known {
		p.out = binary.BigEndian.AppendUint64(p.out, tail)
	}
	column(p, ranks)
}

func readTails(u *unpacker, n int) []uint64 {
	known := u.count(maxTails)
	if known == 0 {
		return readColumn[uint64](u, n)
	}
	list := u.bytes(8 * known)
	ranks := readColumn[uint8](u, n)
	tails := make([]uint64, n)
	var recent []uint64
	for row := range tails {
		rank := int(ranks[row])
		if rank == len(recent) && len(list) > 0 {
			recent = append(recent, binary.BigEndian.Uint64(list))
			list = list[8:]
		}
		if rank >= len(recent) {
			u.fail("an id is not in the list")
			return tails
		}
		tails[row] = recent[rank]
		moveToFront(recent, rank)
	}
	return tails
}

func moveToFront(list []uint64, at int) {
	value := list[at]
	copy(list[1:at+1], list[:at])
	list[0] = value
}

func readPage(u *unpacker, n int) (*page, error) {
	g := &page{
		counters: readColumn[uint32](u, n),
		tails:    readTails(u, n),
		latency:  readColumn[uint64](u, n),
		flags:    readColumn[uint8](u, n),
		calls:    readColumn[uint64](u, n),
	}
	return g, u.end()
}

// fill sets the fields of an entry that are in the page.
func (g *page) fill(e *Entry, row int) {
	binary.BigEndian.PutUint16(e.ID[6:], uint16(g.counters[row]))
	binary.BigEndian.PutUint64(e.ID[8:], g.tails[row])
	e.Latency = time.Duration(g.latency[row]) * time.Microsecond
	e.Reported, e.FromReport = g.flags[row]&flagReported != 0, g.flags[row]&flagFromReport != 0
	e.CallCount = int(g.calls[row])
}
