package block

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// Scan finds the newest matches in one block, step by step: a caller fetches Spans and passes them to Feed, until there are no
// more Spans. It reads only the columns and pages that it needs.
type Scan struct {
	decoder *Decoder
	summary *Summary
	query   ScanQuery
	always  map[uuid.UUID]bool

	wanted []int // parts
	text   *text
	found  []bool // endpoints that match; nil = none
	pages  map[int]*page
	chosen *chosen // nil until the columns were read

	entries    []Entry
	searchedTo uuid.UUID
}

// ScanQuery is what a Scan looks for.
type ScanQuery struct {
	Filter Filter
	// From <= id < To.
	From, To uuid.UUID
	// Limit is the most matches to find, the newest ones. 0 = only Always.
	Limit int
	// Always are ids whose entries are found whether they match or not, in the range or not, and beside the limit.
	Always []uuid.UUID
	// NoEndpoints leaves the endpoints of the entries empty, which takes less time. It is for filters without Endpoint.
	NoEndpoints bool
}

// NewScan returns a scan of the block.
func (d *Decoder) NewScan(s *Summary, q ScanQuery) *Scan {
	scan := &Scan{decoder: d, summary: s, query: q, pages: map[int]*page{}, always: make(map[uuid.UUID]bool, len(q.Always))}
	for _, id := range q.Always {
		scan.always[id] = true
	}
	switch {
	case q.Filter.Endpoint != "":
		scan.wanted = []int{partText}
	case q.Limit > 0 && q.Filter == Filter{} && compare(q.To, s.Last) > 0:
		// The newest rows match: no need to see the columns first.
		scan.wanted = []int{partColumns}
		if !q.NoEndpoints {
			scan.wanted = append(scan.wanted, partText)
		}
		for number := max(s.Rows-q.Limit, 0) / pageRows; number < s.pages(); number++ {
			scan.wanted = append(scan.wanted, s.page(number))
		}
	default:
		scan.wanted = []int{partColumns}
	}
	return scan
}

func compare(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }

// Spans returns what has to be fetched next. Nothing: the scan is complete.
func (s *Scan) Spans() []Span {
	var spans []Span
	for _, number := range s.wanted {
		spans = append(spans, s.summary.parts[number].Span)
	}
	return spans
}

// Feed takes the bytes of Spans, in the same order.
func (s *Scan) Feed(parts [][]byte) error {
	if len(parts) != len(s.wanted) {
		return fmt.Errorf("%d parts instead of %d", len(parts), len(s.wanted))
	}
	for i, number := range s.wanted {
		if err := s.read(number, parts[i]); err != nil {
			return err
		}
	}
	s.wanted = nil
	err := s.next()
	if len(s.wanted) == 0 {
		s.text, s.found, s.chosen, s.pages = nil, nil, nil, nil // a caller may hold many scans
	}
	return err
}

func (s *Scan) read(number int, raw []byte) error {
	u, err := s.decoder.open(s.summary, number, raw)
	if err != nil {
		return err
	}
	switch number {
	case partColumns:
		var c *columns
		if c, err = readColumns(u, s.summary.Rows); err == nil {
			err = s.checkEndpoints(c.endpointCount)
		}
		if err == nil {
			s.chosen = c.choose(s.summary, &s.query, s.found)
		}
	case partText:
		if s.text, err = readText(u, s.decoder, s.summary.Rows); err == nil && s.query.Filter.Endpoint != "" {
			s.found, err = s.text.find(Fold(s.query.Filter.Endpoint), s.summary.upperCase)
		}
	default:
		page := number - s.summary.page(0)
		s.pages[page], err = readPage(u, s.summary.rowsOf(page))
	}
	return err
}

// next decides what is wanted next, or completes the scan.
func (s *Scan) next() error {
	if s.chosen == nil {
		s.searchedTo = s.end()
		if s.found != nil || len(s.always) > 0 {
			s.wanted = []int{partColumns}
		}
		return nil
	}
	if err := s.checkEndpoints(s.chosen.endpointCount); err != nil {
		return err
	}
	if len(s.chosen.rows) > 0 && s.text == nil && !s.query.NoEndpoints {
		s.wanted = append(s.wanted, partText)
	}
	for i := range s.chosen.rows {
		page := s.chosen.rows[i].row / pageRows
		if part := s.summary.page(page); s.pages[page] == nil && !slices.Contains(s.wanted, part) {
			s.wanted = append(s.wanted, part)
		}
	}
	if len(s.wanted) > 0 {
		return nil
	}
	return s.complete()
}

// checkEndpoints compares the text, if it was read, with the number of endpoints of the columns.
func (s *Scan) checkEndpoints(count int) error {
	if s.text != nil && s.text.count != count {
		return fmt.Errorf("%w: %d endpoints instead of %d", ErrDamaged, s.text.count, count)
	}
	return nil
}

// end returns how far a scan comes that the limit does not stop.
func (s *Scan) end() uuid.UUID {
	if first := s.summary.First; compare(first, s.query.From) > 0 && compare(first, s.query.To) < 0 {
		return first
	}
	return s.query.From
}

// complete looks at the ids of the chosen rows, and keeps the results.
func (s *Scan) complete() error {
	count, stop := 0, s.chosen.limited
	last := s.end()
	var kept []*row
	for i := range s.chosen.rows {
		r := &s.chosen.rows[i]
		s.pages[r.row/pageRows].fill(&r.entry, r.row%pageRows)
		switch id := r.entry.ID; {
		case s.always[id]:
			kept = append(kept, r)
		case compare(id, s.query.From) < 0 || compare(id, s.query.To) >= 0 || !r.match:
		case count == s.query.Limit:
			stop = true
		default:
			count++
			kept, last = append(kept, r), id
		}
	}
	s.searchedTo = s.end()
	if stop {
		s.searchedTo = last
	}
	return s.finish(kept)
}

// finish makes the entries of the results.
func (s *Scan) finish(kept []*row) error {
	s.entries = make([]Entry, len(kept))
	for i, r := range kept {
		s.entries[i] = r.entry
	}
	if len(kept) == 0 || s.query.NoEndpoints {
		return nil
	}
	numbers := make([]uint32, len(kept))
	for i, r := range kept {
		numbers[i] = r.endpoint
	}
	slices.Sort(numbers)
	endpoints, err := s.text.get(slices.Compact(numbers))
	if err != nil {
		return err
	}
	for i, r := range kept {
		s.entries[i].Endpoint = endpoints[r.endpoint]
	}
	return nil
}

// Entries returns what a complete scan has found, by descending id. Their WorkspaceID is empty.
func (s *Scan) Entries() []Entry { return s.entries }

// SearchedTo returns how far a complete scan has come: every match of the range with an id from there on is in Entries. It is
// the query's From (or the block's First, if that is higher) unless Limit was reached, and always below the query's To. It has no
// meaning if Limit is 0.
func (s *Scan) SearchedTo() uuid.UUID { return s.searchedTo }
