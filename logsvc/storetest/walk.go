package storetest

import (
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

// randomWalks lists pages of every kind while entries are recorded above and below the current page, and compares each page
// with the model. Failures are reproducible: only the clock and the random bits of ids differ.
func randomWalks(f *fixture) {
	for seed := range uint64(2) {
		w := newRandomWalk(f, rand.New(rand.NewPCG(seed, 7)))
		for i := range w.workspaces {
			w.workspaces[i] += string(rune('a' + seed))
		}
		w.arrive(80)
		for range 2 {
			w.walk()
		}
		if f.Failed() {
			f.Fatalf("with seed %d", seed)
		}
	}
}

// randomWalk is one random history of a store.
type randomWalk struct {
	*fixture
	rand       *rand.Rand
	model      model
	workspaces []string
	keys       []uuid.UUID
	calls      []logsvc.Entry
	// span is the time before now that calls come from.
	span time.Duration
}

func newRandomWalk(f *fixture, random *rand.Rand) *randomWalk {
	return &randomWalk{
		fixture: f, rand: random, model: model{}, workspaces: []string{"w", "v"}, span: 29 * day,
		keys: []uuid.UUID{uuid.Nil, uuid.New(), uuid.New()},
	}
}

// walk lists all pages of a range.
func (w *randomWalk) walk() {
	query := logsvc.Query{WorkspaceID: pick(w, w.workspaces), Filter: w.filter(), Range: w.somewhere()}
	for !query.Range.Empty() {
		query.Limit = 1 + w.rand.IntN(20)
		query.Budget = pick(w, []time.Duration{0, 0, 1, time.Microsecond, time.Millisecond, time.Hour})
		page := w.list(query)
		w.check(query, page)
		query.Range.To = page.SearchedTo
		if w.rand.IntN(3) == 0 {
			w.arrive(w.rand.IntN(4))
		}
	}
}

func (w *randomWalk) check(query logsvc.Query, page logsvc.Page) {
	w.Helper()
	w.progressed(query, page)
	searched := logsvc.Range{From: page.SearchedTo, To: query.Range.To}
	w.same(page.Entries, w.model.list(query.WorkspaceID, query.Filter, searched))
	unhurried := query.Budget == 0 || query.Budget == time.Hour
	if full := len(page.Entries) == query.Limit; unhurried && !full && page.SearchedTo != query.Range.From {
		w.Errorf("List(%+v) stopped at %s with %d entries", query, page.SearchedTo, len(page.Entries))
	}
	if len(page.Entries) > query.Limit {
		w.Errorf("List(%+v) returned %d entries", query, len(page.Entries))
	}
}

// arrive records a batch of new calls and of old ones with another status.
func (w *randomWalk) arrive(count int) {
	batch := w.batch(count)
	w.model.record(batch...)
	w.record(batch...)
}

func (w *randomWalk) batch(count int) (batch []logsvc.Entry) {
	for range count {
		call := w.newCall()
		if len(w.calls) > 0 && w.rand.IntN(3) == 0 {
			call = w.end(pick(w, w.calls))
		}
		w.calls = append(w.calls, call)
		batch = append(batch, call)
	}
	return batch
}

// newCall returns a call at any time of the span and the day after now, or within the last milliseconds.
func (w *randomWalk) newCall() logsvc.Entry {
	ago := time.Duration(w.rand.Int64N(int64(w.span+day))) - day + time.Second
	if w.rand.IntN(2) == 0 {
		ago = time.Duration(w.rand.IntN(5)) * time.Millisecond
	}
	call := in(pick(w, w.workspaces), w.call(ago))
	call.KeyID = pick(w, w.keys)
	call.Endpoint = pick(w, []string{"/v1/agents", "/V1/Chat_1", "/v1/100%", "/é"})
	call.AgentType, call.AgentID = pick(w, []string{"", "agent", "voice_agent"}), pick(w, []string{"", "agent-1", "agent-2"})
	return w.end(call)
}

func (w *randomWalk) end(e logsvc.Entry) logsvc.Entry {
	e.CallCount = 1 + w.rand.IntN(3)
	if w.rand.IntN(4) == 0 {
		e = fromReport(e)
	}
	status, code := pick(w, []int{0, 0, 200, 204, 302, 401, 403, 500}), pick(w, []string{"", "", "expired", "disabled"})
	if w.rand.IntN(2) == 0 {
		return denied(e, status, code, pick(w, []string{"", "a_cause"}))
	}
	return reported(e, status, code, time.Duration(w.rand.IntN(99))*time.Millisecond)
}

func (w *randomWalk) filter() (f logsvc.Filter) {
	f = some(logsvc.Filter{
		StatusClass: pick(w, []int{2, 4, 5}), KeyID: pick(w, w.keys),
		ErrorCode: pick(w, []string{"expired", "disabled", "no_such_code"}),
		Endpoint:  pick(w, []string{"V1", "_", "%", "é", "AGENTS", "nothing"}),
		AgentType: pick(w, []string{"agent", "voice_agent"}), AgentID: pick(w, []string{"agent", "agent-2"}),
		Method: pick(w, []string{"GET", "POST", "PATCH"}),
	}, w.rand.IntN(1<<filterFields)&w.rand.IntN(1<<filterFields)&w.rand.IntN(1<<filterFields))
	f.InProgress = w.rand.IntN(8) == 0
	return f
}

// somewhere returns everything, or a range that begins or ends at a call.
func (w *randomWalk) somewhere() logsvc.Range {
	r := w.everything()
	if w.rand.IntN(3) == 0 {
		r.From = pick(w, w.calls).ID
	}
	if w.rand.IntN(3) == 0 {
		r.To = uuid7.First(pick(w, w.calls).Time())
	}
	return r
}

func pick[T any](w *randomWalk, from []T) T { return from[w.rand.IntN(len(from))] }
