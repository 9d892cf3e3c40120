package logsvc

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/keytrail/keytrail/internal/uuid7"
)

// Announcement says what a batch has stored: by workspace, ranges of ids that contain those of the batch.
type Announcement map[string][]Range

// EveryWorkspace is the name, in an Announcement, of ranges of every workspace. It is not the id of one.
const EveryWorkspace = "*"

const (
	// maxAnnounced is how many ranges Announce makes of a workspace. Each is one query for its readers.
	maxAnnounced = 8
	// minGap is the shortest time between two ranges: to read the rows of a second costs less than another query.
	minGap = time.Second
)

// Announce returns the announcement of a batch. A report may come a day after its call: the ranges leave out the longest times
// in which the batch has no entry.
func Announce(entries []Entry) Announcement {
	a := Announcement{}
	for _, e := range entries {
		a[e.WorkspaceID] = append(a[e.WorkspaceID], Range{From: e.ID, To: uuid7.Next(e.ID)})
	}
	for workspaceID, ranges := range a {
		a[workspaceID] = cluster(ranges, maxAnnounced)
	}
	return a
}

// ForEveryWorkspace returns an announcement that names no workspace.
func (a Announcement) ForEveryWorkspace() Announcement {
	var all []Range
	for _, ranges := range a {
		all = append(all, ranges...)
	}
	return Announcement{EveryWorkspace: cluster(all, maxAnnounced)}
}

// cluster joins ranges, of which there is one at least, until they are at most a number of them, by ascending id: those with the
// shortest times between them, and all with less than minGap between them. It sorts the ranges.
func cluster(ranges []Range, most int) []Range {
	slices.SortFunc(ranges, func(a, b Range) int { return bytes.Compare(a.From[:], b.From[:]) })
	type gap struct {
		before int // the index of the range after it
		length time.Duration
	}
	var gaps []gap
	end := ranges[0].To
	for i, r := range ranges {
		if length := uuid7.Time(r.From).Sub(uuid7.Time(end)); length >= minGap {
			gaps = append(gaps, gap{i, length})
		}
		end = higher(end, r.To)
	}
	slices.SortFunc(gaps, func(a, b gap) int { return cmp.Compare(b.length, a.length) })
	gaps = gaps[:min(len(gaps), most-1)]
	slices.SortFunc(gaps, func(a, b gap) int { return cmp.Compare(a.before, b.before) })
	clustered := make([]Range, 0, len(gaps)+1)
	from := 0
	for _, g := range append(gaps, gap{before: len(ranges)}) {
		joined := ranges[from]
		for _, r := range ranges[from:g.before] {
			joined.To = higher(joined.To, r.To)
		}
		clustered, from = append(clustered, joined), g.before
	}
	return clustered
}
