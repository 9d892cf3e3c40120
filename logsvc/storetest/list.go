package storetest

import (
	"bytes"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

var listSentences = []sentence{
	{"returns the newest entries, by descending id", newestFirstWithinLimit},
	{"entries lie in the range: From <= id < To", rangeIsHalfOpen},
	{"an empty range holds nothing", emptyRange},
	{"SearchedTo equals From once everything was searched", searchedToFrom},
	{"everything that matches from SearchedTo on is in the page", fullPageSearchedTo},
	{"each call makes progress, whatever the budget", everyCallMakesProgress},
	{"pages never skip or repeat an entry, whatever arrives meanwhile", randomWalks},
}

func newestFirstWithinLimit(f *fixture) {
	calls := f.calls(10)
	calls[3].ID, calls[4].ID = uuid7.New(calls[2].Time()), uuid7.New(calls[2].Time()) // three of one millisecond
	m := model{}
	m.record(calls...)
	f.record(calls...)
	want := m.list(acme, logsvc.Filter{}, f.everything())
	for limit := 1; limit <= len(want)+1; limit++ {
		page := f.list(logsvc.Query{WorkspaceID: acme, Range: f.everything(), Limit: limit})
		f.same(page.Entries, want[:min(limit, len(want))])
	}
}

func rangeIsHalfOpen(f *fixture) {
	calls := f.calls(5)
	f.record(calls...)
	inner := logsvc.Range{From: calls[3].ID, To: calls[1].ID}
	page := f.list(logsvc.Query{WorkspaceID: acme, Range: inner, Limit: 10})
	f.same(page.Entries, calls[2:4])
	all := logsvc.Range{From: uuid.Nil, To: uuid.Max}
	f.same(f.list(logsvc.Query{WorkspaceID: acme, Range: all, Limit: 10}).Entries, calls)
}

func emptyRange(f *fixture) {
	calls := f.calls(3)
	f.record(calls...)
	for _, r := range []logsvc.Range{{From: calls[1].ID, To: calls[1].ID}, {From: calls[0].ID, To: calls[2].ID}} {
		page := f.list(logsvc.Query{WorkspaceID: acme, Range: r, Limit: 10})
		f.same(page.Entries, nil)
		if page.SearchedTo != r.From {
			f.Errorf("SearchedTo = %s of an empty range, want its From, %s", page.SearchedTo, r.From)
		}
	}
}

func searchedToFrom(f *fixture) {
	f.record(f.calls(3)...)
	for _, workspaceID := range []string{acme, globex} {
		for _, filter := range []logsvc.Filter{{}, {Endpoint: "nowhere"}, {StatusClass: 5}, {KeyID: uuid.New()}} {
			query := logsvc.Query{WorkspaceID: workspaceID, Filter: filter, Range: f.everything(), Limit: 10}
			if page := f.list(query); page.SearchedTo != query.Range.From {
				f.Errorf("SearchedTo = %s after %+v, want %s", page.SearchedTo, query, query.Range.From)
			}
		}
	}
}

// fullPageSearchedTo lists pages that are full: SearchedTo must lie between the last match in the page and the next one.
func fullPageSearchedTo(f *fixture) {
	calls := f.calls(9)
	f.record(calls...)
	for limit := 1; limit < len(calls); limit++ {
		page := f.list(logsvc.Query{WorkspaceID: acme, Range: f.everything(), Limit: limit})
		last, next := calls[limit-1].ID, calls[limit].ID
		if bytes.Compare(page.SearchedTo[:], last[:]) > 0 || bytes.Compare(page.SearchedTo[:], next[:]) <= 0 {
			f.Errorf("SearchedTo = %s, want it in (%s, %s]", page.SearchedTo, next, last)
		}
	}
}

// everyCallMakesProgress searches many days for one entry, with the smallest budget.
func everyCallMakesProgress(f *fixture) {
	var calls []logsvc.Entry
	for i := range 60 {
		calls = append(calls, f.call(time.Duration(i)*12*time.Hour-day+time.Hour))
	}
	needle := &calls[50]
	needle.Endpoint = "/needle"
	f.record(calls...)
	query := logsvc.Query{
		WorkspaceID: acme, Filter: logsvc.Filter{Endpoint: "NEEDLE"}, Range: f.everything(), Limit: 10, Budget: 1,
	}
	var found []logsvc.Entry
	for query.Range.To != query.Range.From {
		page := f.list(query)
		f.progressed(query, page)
		found = append(found, page.Entries...)
		query.Range.To = page.SearchedTo
	}
	f.same(found, []logsvc.Entry{*needle})
}

func (f *fixture) progressed(query logsvc.Query, page logsvc.Page) {
	f.Helper()
	if !query.Range.Contains(page.SearchedTo) {
		f.Fatalf("SearchedTo = %s, want it in [%s, %s)", page.SearchedTo, query.Range.From, query.Range.To)
	}
}
