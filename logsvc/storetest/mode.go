package storetest

import (
	"bytes"
	"slices"

	"github.com/keytrail/keytrail/logsvc"
)

// mode is how far the entries of a test are sealed while it runs.
type mode string

const (
	// recent: all of them are recent rows.
	recent mode = "recent"
	// sealed: all of them are in blocks, and what is recorded later is folded in at once.
	sealed mode = "sealed"
	// halfSealed: the older half of what is recorded is in blocks, the newer one is above them.
	halfSealed mode = "half sealed"
	// laidOver: the newer half of what is recorded is in blocks; then everything is recorded again, and stays below and over
	// the blocks.
	laidOver mode = "sealed and recorded again"
	// betweenPages: after the first page of a list some are sealed, after the second one all.
	betweenPages mode = "sealed between pages"
)

var (
	everyMode   = []mode{recent, sealed, halfSealed, laidOver, betweenPages}
	storeItself = []mode{recent}
)

// record records entries as the mode says.
func (f *fixture) record(entries ...logsvc.Entry) {
	f.Helper()
	f.unsettled = 2
	f.recorded++
	older, newer := f.halves(entries)
	switch {
	case f.mode == sealed:
		f.recordRows(entries)
		f.fold()
	case f.mode == halfSealed && len(older) > 0:
		f.recordRows(older)
		f.fold()
		f.recordRows(newer)
	case f.mode == laidOver && len(newer) > 0:
		f.recordRows(newer)
		f.fold()
		f.recordRows(entries)
	default:
		f.recordRows(entries)
	}
}

// recordRows stores entries as recent rows.
func (f *fixture) recordRows(entries []logsvc.Entry) {
	f.Helper()
	if err := f.store.Record(f.Context(), f.outer(entries)); err != nil {
		f.Fatalf("Record: %v", err)
	}
}

// halves cuts entries at the id in their middle; those of one id stay together. Of an odd number, one half or the other is
// larger, in turn: a single entry is in each of them every second time.
func (f *fixture) halves(entries []logsvc.Entry) (older, newer []logsvc.Entry) {
	sorted := slices.Clone(entries)
	slices.SortStableFunc(sorted, newestFirst)
	slices.Reverse(sorted)
	middle := (len(sorted) + f.recorded%2) / 2
	for _, e := range entries {
		if middle < len(sorted) && bytes.Compare(e.ID[:], sorted[middle].ID[:]) >= 0 {
			newer = append(newer, e)
		} else {
			older = append(older, e)
		}
	}
	return older, newer
}

// pageListed seals between two pages.
func (f *fixture) pageListed() {
	f.Helper()
	if f.mode != betweenPages || f.unsettled == 0 {
		return
	}
	if f.unsettled--; f.unsettled > 0 {
		f.seal()
	} else {
		f.fold()
	}
}

// seal makes one pass of the sealer on the day of its last one: it seals full blocks, and leaves the rest.
func (f *fixture) seal() {
	f.Helper()
	if err := f.sealer.Seal(f.Context()); err != nil {
		f.Fatalf("Seal: %v", err)
	}
}

// fold makes the first pass of a new day: it seals everything.
func (f *fixture) fold() {
	f.Helper()
	f.ahead.Add(int64(day))
	f.seal()
}
