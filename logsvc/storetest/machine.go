package storetest

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

var modelSentences = []sentence{
	{"after any sequence of operations everything is as in a plain map", randomOperations},
}

const (
	sequences  = 8
	operations = 70
)

// randomOperations compares random sequences of operations with the model. Failures are reproducible, as in randomWalks.
func randomOperations(f *fixture) {
	for seed := range uint64(sequences) {
		m := newMachine(f, seed)
		func() {
			defer func() {
				if f.Failed() {
					f.Logf("with seed %d, after\n%s", seed, strings.Join(m.log, "\n"))
				}
			}()
			for range operations {
				m.step()
			}
			m.ends()
		}()
		if f.Failed() {
			return
		}
	}
}

// machine is a random history with all operations on a store.
type machine struct {
	*randomWalk
	// floor is the id up to which everything has expired: nothing is recorded or asked for below it.
	floor uuid.UUID
	// query is the next page of the walk in progress, nil if there is none.
	query *logsvc.Query
	log   []string
}

// newMachine returns a history whose sealer's clock is two days behind the newest calls.
func newMachine(f *fixture, seed uint64) *machine {
	own := *f
	m := &machine{randomWalk: newRandomWalk(&own, rand.New(rand.NewPCG(seed, 11)))}
	for i := range m.workspaces {
		m.workspaces[i] += string(rune('a' + seed))
	}
	m.span = 3 * day
	m.floor = m.everything().From
	m.setClock(m.now.Add(-2 * day))
	m.restart()
	return m
}

type operation struct {
	weight int
	name   string
	do     func(*machine)
}

var allOperations = []operation{
	{20, "record", (*machine).recordSome},
	{10, "record again", (*machine).recordAgain},
	{14, "seal", (*machine).sealLater},
	{4, "fold", func(m *machine) { m.fold() }},
	{8, "seal, with something else before a change", (*machine).sealInterrupted},
	{2, "restart the sealer", (*machine).restart},
	{4, "purge", (*machine).purgeSome},
	{2, "expire", (*machine).expireSome},
	{30, "list a page", (*machine).page},
	{8, "get", (*machine).getSome},
	{6, "summarize", (*machine).summarizeSome},
}

// step carries out one operation.
func (m *machine) step() {
	total := 0
	for _, o := range allOperations {
		total += o.weight
	}
	at := m.rand.IntN(total)
	i := slices.IndexFunc(allOperations, func(o operation) bool { at -= o.weight; return at < 0 })
	m.note(allOperations[i].name)
	allOperations[i].do(m)
}

// note adds a line to the log of the sequence.
func (m *machine) note(line string) { m.log = append(m.log, line) }

func (m *machine) restart() { m.sealer = m.newSealer(m.store) }

func (m *machine) recordSome() { m.recordThese(m.batch(1 + m.rand.IntN(12))) }

// recordAgain delivers old entries once more, some of them with more calls.
func (m *machine) recordAgain() {
	var batch []logsvc.Entry
	for range min(len(m.calls), 1+m.rand.IntN(6)) {
		call := pick(m.randomWalk, m.calls)
		call.CallCount += m.rand.IntN(3)
		batch = append(batch, call)
	}
	m.recordThese(batch)
}

// recordThese records the entries that the service would record: those that have not expired.
func (m *machine) recordThese(batch []logsvc.Entry) {
	batch = slices.DeleteFunc(batch, func(e logsvc.Entry) bool { return bytes.Compare(e.ID[:], m.floor[:]) < 0 })
	m.model.record(batch...)
	m.recordRows(batch)
}

func (m *machine) sealLater() {
	m.ahead.Add(m.rand.Int64N(int64(8 * time.Hour)))
	m.seal()
}

// sealInterrupted makes a pass, before one of whose changes a replica does something else, although the lock is held.
func (m *machine) sealInterrupted() {
	changes, at := 0, m.rand.IntN(3)
	m.sealer = m.newSealer(&hooked{Store: m.store, unlocked: true, beforeReplace: func() {
		if changes++; changes-1 != at {
			return
		}
		switch m.rand.IntN(4) {
		case 0, 1:
			m.note("  record and record again")
			m.recordSome()
			m.recordAgain()
		case 2:
			m.note("  seal")
			if err := m.newSealer(&hooked{Store: m.store, unlocked: true}).Seal(m.Context()); err != nil {
				m.Errorf("Seal: %v", err)
			}
		case 3:
			m.note("  purge")
			m.purgeBy(m.newSealer(&hooked{Store: m.store, unlocked: true}))
		}
	}})
	m.fold()
	m.restart()
}

func (m *machine) purgeSome() { m.purgeBy(m.sealer) }

func (m *machine) purgeBy(sealer *logsvc.Sealer) {
	own := *m.fixture
	own.sealer = sealer
	workspaceID, upTo := pick(m.randomWalk, m.workspaces), uuid.Max
	if len(m.calls) > 0 && m.rand.IntN(4) > 0 {
		upTo = pick(m.randomWalk, m.calls).ID
	}
	own.purge(workspaceID, upTo)
	m.model.purge(workspaceID, upTo)
}

func (m *machine) expireSome() {
	before := uuid7.First(m.now.Truncate(day).AddDate(0, 0, -m.rand.IntN(4)))
	if len(m.calls) > 0 && m.rand.IntN(2) == 0 {
		before = pick(m.randomWalk, m.calls).ID
	}
	if bytes.Compare(before[:], m.floor[:]) <= 0 || uuid7.Time(before).After(m.now.Add(-12*time.Hour)) {
		return
	}
	m.expire(before)
	m.floor = before
	m.model.expire(before)
}

// unexpired returns the part of a range that has not expired.
func (m *machine) unexpired(r logsvc.Range) logsvc.Range {
	return r.Overlap(logsvc.Range{From: m.floor, To: uuid.Max})
}

// sealedMeanwhile returns a fixture for one search, between whose steps everything is sealed, or nothing.
func (m *machine) sealedMeanwhile() *fixture {
	own, steps, at := *m.fixture, 0, m.rand.IntN(12)
	own.searcher = logsvc.NewSearcher(&hooked{Store: m.store, beforeFetch: func() {
		if steps++; steps-1 == at {
			m.note("  fold")
			m.fold()
		}
	}}, nil)
	return &own
}

// page lists the next page of the walk in progress.
func (m *machine) page() {
	if len(m.calls) == 0 {
		return
	}
	if m.query == nil {
		m.query = &logsvc.Query{WorkspaceID: pick(m.randomWalk, m.workspaces), Filter: m.filter(), Range: m.somewhere()}
	}
	if m.query.Range = m.unexpired(m.query.Range); m.query.Range.Empty() {
		m.query = nil
		return
	}
	own := m.sealedMeanwhile()
	m.query.Limit = 1 + m.rand.IntN(15)
	m.query.Budget = pick(m.randomWalk, []time.Duration{0, 0, 0, 1, time.Hour})
	page := own.list(*m.query)
	m.check(*m.query, page)
	m.query.Range.To = page.SearchedTo
}

func (m *machine) getSome() {
	for range min(len(m.calls), 5) {
		call := pick(m.randomWalk, m.calls)
		want, exists := m.model[row{call.WorkspaceID, call.ID}]
		if bytes.Compare(call.ID[:], m.floor[:]) < 0 {
			continue
		}
		if got, found := m.get(call.WorkspaceID, call.ID); found != exists || got != want {
			m.Errorf("Get(%s, %s) = %+v, %t\nwant %+v, %t", call.WorkspaceID, call.ID, got, found, want, exists)
		}
	}
}

func (m *machine) summarizeSome() {
	if len(m.calls) == 0 {
		return
	}
	workspaceID, r := pick(m.randomWalk, m.workspaces), m.unexpired(m.somewhere())
	m.sealedMeanwhile().summarizesOnce(workspaceID, r, m.model.list(workspaceID, logsvc.Filter{}, r))
}

// ends compares everything with the model, as it is and all sealed.
func (m *machine) ends() {
	all := m.unexpired(m.everything())
	for range 2 {
		for _, workspaceID := range m.workspaces {
			want := m.model.list(workspaceID, logsvc.Filter{}, all)
			m.same(m.list(logsvc.Query{WorkspaceID: workspaceID, Range: all, Limit: 10_000}).Entries, want)
			m.summarizesOnce(workspaceID, all, want)
			m.soundBlocks(workspaceID)
		}
		m.ahead.Add(int64(5 * day)) // the first pass of a day, when all days that have calls have ended
		m.seal()
	}
	for _, workspaceID := range m.workspaces {
		m.allSealed(workspaceID)
	}
}
