package logsvc

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc/block"
)

// SummaryQuery selects the calls of a workspace that are counted.
type SummaryQuery struct {
	WorkspaceID string
	Filter      Filter
	Range       Range
	// Budget is the time for a summary that has to look at entries; it may overrun a little.
	Budget time.Duration
}

// Summary counts calls.
type Summary struct {
	Counts block.Counts
	// SearchedTo is how far the summary has come: every call with an id from SearchedTo on is counted, except in Unreadable. It
	// is the query's Range.From once everything was counted.
	SearchedTo uuid.UUID
	// Unreadable are the ranges of damaged blocks, whose calls are not counted, newest first.
	Unreadable []Range
}

// Summarize counts the calls that the query selects, each once. If the filter has nothing but key, status class and code, it
// counts all of them, as they are known at one moment, mostly from the counts of blocks. With other filters it looks at entries
// as List does, newest first, until the time of query.Budget is used up.
func (s *Searcher) Summarize(ctx context.Context, query SummaryQuery) (summary Summary, err error) {
	if hasCounts(query.Filter) {
		summary.SearchedTo = query.Range.From
		summary.Unreadable, err = s.count(ctx, query.WorkspaceID, query.Range, func() counter {
			summary.Counts = block.Counts{}
			return &callCounter{decoder: s.decoder, selected: query.Filter, counts: summary.Counts}
		})
	} else {
		summary, err = s.countListed(ctx, query)
	}
	if err != nil {
		return Summary{}, fmt.Errorf("summarize request logs of %s: %w", query.WorkspaceID, err)
	}
	return summary, nil
}

// hasCounts reports whether blocks have the counts of what a filter selects.
func hasCounts(f Filter) bool {
	return f == Filter{StatusClass: f.StatusClass, InProgress: f.InProgress, KeyID: f.KeyID, ErrorCode: f.ErrorCode}
}

// listedAtOnce is how many entries a summary holds at once.
const listedAtOnce = 10_000

// countListed counts what it lists.
func (s *Searcher) countListed(ctx context.Context, query SummaryQuery) (Summary, error) {
	summary := Summary{Counts: block.Counts{}, SearchedTo: query.Range.To}
	list := Query{
		WorkspaceID: query.WorkspaceID, Filter: query.Filter, Range: query.Range, Limit: listedAtOnce, Budget: query.Budget,
	}
	for began := time.Now(); ; {
		page, err := s.List(ctx, list)
		if err != nil {
			return Summary{}, err
		}
		for i := range page.Entries {
			summary.Counts.Add(block.GroupOf(&page.Entries[i]))
		}
		summary.SearchedTo, list.Range.To = page.SearchedTo, page.SearchedTo
		summary.Unreadable = append(summary.Unreadable, page.Unreadable...)
		list.Budget = query.Budget - time.Since(began)
		if page.SearchedTo == query.Range.From || list.Budget <= 0 {
			return summary, nil
		}
	}
}

// callCounter is the counter of a summary.
type callCounter struct {
	decoder  *block.Decoder
	selected Filter
	counts   block.Counts
}

func (c *callCounter) filter() Filter { return c.selected }

func (c *callCounter) add(g block.Group) {
	if c.selects(g.HourClassCode) && (c.selected.KeyID == uuid.Nil || g.KeyID == c.selected.KeyID) {
		c.counts.Add(g)
	}
}

func (c *callCounter) selects(by block.HourClassCode) bool {
	return (c.selected.StatusClass == 0 || by.Class == c.selected.StatusClass) && (!c.selected.InProgress || by.Class == 0) &&
		(c.selected.ErrorCode == "" || by.Code == c.selected.ErrorCode)
}

func (c *callCounter) span(s *block.Summary) block.Span {
	if c.selected.KeyID == uuid.Nil {
		return s.CountsSpan()
	}
	return s.KeysSpan()
}

func (c *callCounter) unpack(s *block.Summary, raw []byte) (add func(), err error) {
	var counts block.Counts
	if c.selected.KeyID == uuid.Nil {
		counts, err = c.decoder.Counts(s, raw)
	} else {
		counts, err = c.decoder.KeyCounts(s, raw, c.selected.KeyID)
	}
	return func() {
		for by, t := range counts {
			if c.selects(by) {
				c.counts.AddTally(by, t)
			}
		}
	}, err
}

// Summarize counts calls of the window. It sets the query's budget. Complete reports whether nothing is left to count below
// summary.SearchedTo. It waits for its turn as List does.
func (s *Service) Summarize(ctx context.Context, query SummaryQuery) (summary Summary, complete bool, err error) {
	query.Range = query.Range.Overlap(Range{From: s.window().From, To: uuid.Max})
	if query.Range.Empty() {
		return Summary{SearchedTo: query.Range.From}, true, nil
	}
	done, err := s.turns.take(ctx, query.WorkspaceID)
	if err != nil {
		return Summary{}, false, fmt.Errorf("summarize request logs: %w", err)
	}
	defer done()
	query.Budget = s.config.SearchBudget
	if summary, err = s.searcher.Summarize(ctx, query); err != nil {
		return Summary{}, false, err
	}
	return summary, summary.SearchedTo == query.Range.From, nil
}
