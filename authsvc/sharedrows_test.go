package authsvc

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
)

// unproved returns the entry of a call that proved no key.
func unproved(workspaceID string, code ErrorCode, at time.Time) Entry {
	return Entry{ID: uuid7.New(at), WorkspaceID: workspaceID, ErrorCode: code, Status: 401, Endpoint: uuid.NewString(), CallCount: 1}
}

// everyWorkspace is a keyring in which every workspace has a key.
func everyWorkspace(string) bool { return true }

// table stores rows like the log service: one for each id, with the largest number of calls.
type table map[uuid.UUID]Entry

func (m table) record(t *testing.T, row Entry) {
	t.Helper()
	old, there := m[row.ID]
	if number := row.CallCount; there {
		row.CallCount = max(old.CallCount, number)
		if row.Endpoint == "" || old.Endpoint == "" {
			row.Endpoint += old.Endpoint
		}
		if old.Endpoint != "" && row.Endpoint != old.Endpoint || row.WorkspaceID != old.WorkspaceID || row.ErrorCode != old.ErrorCode {
			t.Errorf("two rows of one id: %+v and %+v", old, row)
		}
	}
	m[row.ID] = row
}

// calls returns how many calls the rows of a key stand for, and the number of rows.
func (m table) calls(name sharedRowKey) (calls, rows int) {
	for _, row := range m {
		if row.WorkspaceID == name.workspaceID && row.ErrorCode == name.code {
			calls += row.CallCount
			rows++
		}
	}
	return calls, rows
}

// TestSumOverTheRowsIsEveryCall lets eight concurrent callers flood some workspaces while the clock moves, mostly forward,
// and delivers the rows in any order, some of them twice. Time passes only while all callers wait, so that on a slow
// machine no more calls have an outdated time than were running when the clock was set.
func TestSumOverTheRowsIsEveryCall(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &flood{sharedRows: newSharedRows(1+int(seed)%3, uuid7.NewGenerator(), everyWorkspace)}
				rows, called := make([][]Entry, 8), make([]map[sharedRowKey]int, 8)
				var group sync.WaitGroup
				for caller := range rows {
					group.Go(func() { rows[caller], called[caller] = f.call(rand.New(rand.NewPCG(seed, uint64(caller)))) })
				}
				group.Wait()
				expectSums(t, seed, rows, called)
			})
		})
	}
}

// flood makes concurrent calls, with a clock that is ahead of the test's.
type flood struct {
	*sharedRows
	ahead atomic.Int64 // in µs
}

// call makes the calls of one caller. It returns their rows and their number.
func (f *flood) call(r *rand.Rand) (rows []Entry, called map[sharedRowKey]int) {
	called = map[sharedRowKey]int{}
	for range 400 {
		if r.IntN(4) == 0 {
			<-time.After(32 * time.Millisecond) // with others: they go on at once
		}
		if r.IntN(500) == 0 {
			f.ahead.Add(r.Int64N(20e6) - 10e6)
		}
		now := time.Now().Add(time.Duration(f.ahead.Load()) * time.Microsecond)
		name := sharedRowKey{fmt.Sprint("w", r.IntN(3)), []ErrorCode{MissingToken, InvalidToken}[r.IntN(2)]}
		called[name]++
		row, shared := f.rowOf(unproved(name.workspaceID, name.code, now), now)
		f.markWritten(shared)
		rows = append(rows, row)
	}
	return rows, called
}

func expectSums(t *testing.T, seed uint64, rows [][]Entry, called []map[sharedRowKey]int) {
	t.Helper()
	var sent []Entry
	want := map[sharedRowKey]int{}
	for caller := range rows {
		sent = append(append(sent, rows[caller]...), rows[caller][:100]...)
		for name, calls := range called[caller] {
			want[name] += calls
		}
	}
	rand.New(rand.NewPCG(seed, 99)).Shuffle(len(sent), func(i, j int) { sent[i], sent[j] = sent[j], sent[i] })
	stored := table{}
	for _, row := range sent {
		stored.record(t, row)
	}
	for name, calls := range want {
		if got, _ := stored.calls(name); got != calls {
			t.Errorf("the rows of %v stand for %d calls, want %d", name, got, calls)
		}
	}
	if len(stored) > len(sent)/2 {
		t.Errorf("%d rows of %d calls: hardly any of them share one", len(stored), len(sent))
	}
}

func TestCallsAboveTheLimitShareOneRowASecondForEachCode(t *testing.T) {
	const rowsPerSecond, seconds, callsPerSecond = 7, 12, 200
	s, stored := newSharedRows(rowsPerSecond, uuid7.NewGenerator(), everyWorkspace), table{}
	own := 0
	for i := range seconds * callsPerSecond {
		now := noon.Add(time.Duration(i) * time.Second / callsPerSecond)
		for _, code := range []ErrorCode{MissingToken, InvalidToken} {
			row, shared := s.rowOf(unproved("acme", code, now), now)
			if shared == nil {
				own++
			}
			stored.record(t, row)
		}
	}
	if want := rowsPerSecond * (burstSeconds + seconds); own < want-1 || own > want {
		t.Errorf("%d calls have rows of their own, want %d", own, want)
	}
	if shared := len(stored) - own; shared < 2*(seconds-2) || shared > 2*seconds {
		t.Errorf("%d shared rows in %d seconds, want one a second for each of two codes", shared, seconds)
	}
	for _, code := range []ErrorCode{MissingToken, InvalidToken} {
		if calls, _ := stored.calls(sharedRowKey{"acme", code}); calls != seconds*callsPerSecond {
			t.Errorf("the rows of %s stand for %d calls, want %d", code, calls, seconds*callsPerSecond)
		}
	}
}

func TestSharedRowEndsASecondAfterItBegan(t *testing.T) {
	s := newSharedRows(1, uuid7.NewGenerator(), everyWorkspace)
	for range burstSeconds {
		s.rowOf(unproved("acme", MissingToken, noon), noon)
	}
	first := unproved("acme", MissingToken, noon)
	for _, step := range []struct {
		after time.Duration
		same  bool
		calls int
	}{{0, true, 1}, {500 * time.Millisecond, true, 2}, {-time.Millisecond, true, 3}, {999 * time.Millisecond, true, 4}, {time.Second, false, 1}} {
		now := noon.Add(step.after)
		call := unproved("acme", MissingToken, now)
		if step.calls == 1 && step.same {
			call = first
		}
		if step.after == time.Second { // takes the token that has come by now
			if _, shared := s.rowOf(unproved("acme", InvalidToken, now), now); shared != nil {
				t.Fatal("a second later there is no token")
			}
		}
		row, _ := s.rowOf(call, now)
		want := first
		if !step.same {
			want = call
		}
		if step.calls == 1 {
			want.ID = newID(t, row, call)
			first.ID = want.ID
		}
		want.CallCount = step.calls
		if row != want {
			t.Errorf("%v after the first the row is %+v, want %+v", step.after, row, want)
		}
	}
}

// newID returns the id of a shared row and checks that it is not the id of its first call.
func newID(t *testing.T, row, call Entry) uuid.UUID {
	t.Helper()
	if row.ID == call.ID {
		t.Errorf("a shared row has the id of its first call")
	}
	return row.ID
}

// TestOnlyTheFirstWriteOfASharedRowIsWhole lets the trail refuse the first row: the next one must be whole too.
func TestOnlyTheFirstWriteOfASharedRowIsWhole(t *testing.T) {
	s := newSharedRows(1, uuid7.NewGenerator(), everyWorkspace)
	for range burstSeconds {
		s.rowOf(unproved("acme", MissingToken, noon), noon)
	}
	var first Entry
	for i := range 5 {
		call := unproved("acme", MissingToken, noon)
		row, shared := s.rowOf(call, noon)
		if i == 0 {
			first = call
			first.ID = newID(t, row, call)
		}
		if i > 0 {
			s.markWritten(shared)
		}
		want := first
		if i > 1 {
			want = Entry{ID: first.ID, WorkspaceID: "acme", Status: first.Status, ErrorCode: MissingToken}
		}
		want.CallCount = i + 1
		if row != want {
			t.Errorf("row %d is %+v, want %+v", i, row, want)
		}
	}
	later := unproved("acme", MissingToken, noon.Add(time.Hour))
	for range burstSeconds + 1 {
		row, shared := s.rowOf(later, noon.Add(time.Hour))
		if shared != nil {
			later.ID = newID(t, row, later)
		}
		if row != later {
			t.Errorf("the first row of the next shared row is %+v, want %+v", row, later)
		}
	}
}

func TestWorkspacesDoNotShareALimit(t *testing.T) {
	s := newSharedRows(1, uuid7.NewGenerator(), everyWorkspace)
	for range 1000 {
		s.rowOf(unproved("loud", InvalidToken, noon), noon)
	}
	for i := range burstSeconds {
		call := unproved("quiet", InvalidToken, noon)
		if row, shared := s.rowOf(call, noon); shared != nil || row != call {
			t.Errorf("call %d of a quiet workspace has the row %+v, want its own", i, row)
		}
	}
	row, shared := s.rowOf(unproved("quiet", InvalidToken, noon), noon)
	if shared == nil || row.WorkspaceID != "quiet" || row.CallCount != 1 {
		t.Errorf("the first call above the limit of a quiet workspace has the row %+v, want one to share", row)
	}
}

func TestFullLimitersAndEndedRowsAreRemoved(t *testing.T) {
	s := newSharedRows(1, uuid7.NewGenerator(), everyWorkspace)
	for i := range 1000 {
		for range burstSeconds + 1 {
			s.rowOf(unproved(fmt.Sprint("w", i), MissingToken, noon), noon)
		}
	}
	if len(s.limiters) != 1000 || len(s.rows) != 1000 {
		t.Fatalf("%d limiters and %d shared rows of 1000 workspaces", len(s.limiters), len(s.rows))
	}
	for _, later := range []time.Duration{burstSeconds * time.Second, -time.Hour} {
		now := noon.Add(later)
		s.rowOf(unproved("another", MissingToken, now), now)
		if len(s.limiters) != 1 || len(s.rows) != 0 {
			t.Errorf("%v later there are %d limiters and %d shared rows, want the limiter of the one call", later, len(s.limiters), len(s.rows))
		}
	}
}

func TestLimiterInUseIsNotRemoved(t *testing.T) {
	s, own := newSharedRows(1, uuid7.NewGenerator(), everyWorkspace), 0
	for second := range 100 {
		now := noon.Add(time.Duration(second) * time.Second)
		for range 5 {
			if _, shared := s.rowOf(unproved("acme", MissingToken, now), now); shared == nil {
				own++
			}
		}
	}
	if want := burstSeconds + 99; own != want {
		t.Errorf("%d calls have rows of their own, want %d: the limiter was replaced", own, want)
	}
}

func TestClockThatIsSetBackDoesNotStopTheRows(t *testing.T) {
	s, stored := newSharedRows(1, uuid7.NewGenerator(), everyWorkspace), table{}
	flood := func(now time.Time, calls int) (own int) {
		for range calls {
			row, shared := s.rowOf(unproved("acme", MissingToken, now), now)
			if shared == nil {
				own++
			}
			stored.record(t, row)
		}
		return own
	}
	flood(noon, 100)
	back := noon.Add(-time.Hour)
	if own := flood(back, 100); own != burstSeconds {
		t.Errorf("an hour back %d calls have rows of their own, want the %d of a new limiter", own, burstSeconds)
	}
	if own := flood(back.Add(5*time.Second), 100); own != 5 {
		t.Errorf("five seconds on %d calls have rows of their own, want 5", own)
	}
	calls, rows := stored.calls(sharedRowKey{"acme", MissingToken})
	if want := 2*burstSeconds + 5 + 3; calls != 300 || rows != want {
		t.Errorf("%d rows stand for %d calls, want %d for 300", rows, calls, want)
	}
}

// TestUncountedCallsAreNotCounted keeps some calls and uncounts others, in any order.
func TestUncountedCallsAreNotCounted(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 3))
		s, stored, kept := newSharedRows(1, uuid7.NewGenerator(), everyWorkspace), table{}, 0
		for range burstSeconds {
			s.rowOf(unproved("acme", MissingToken, noon), noon)
		}
		var open []*sharedRow
		for range 200 {
			row, shared := s.rowOf(unproved("acme", MissingToken, noon), noon)
			if r.IntN(2) == 0 {
				stored.record(t, row)
				kept++
			} else {
				open = append(open, shared)
			}
			for len(open) > r.IntN(4) {
				s.uncount(open[0])
				open = open[1:]
			}
		}
		for _, shared := range open {
			s.uncount(shared)
		}
		row, _ := s.rowOf(unproved("acme", MissingToken, noon), noon)
		stored.record(t, row)
		kept++
		if calls, _ := stored.calls(sharedRowKey{"acme", MissingToken}); row.CallCount != kept || calls < kept || calls > kept+3 {
			t.Errorf("seed %d: the last row stands for %d calls, the table for %d, want %d", seed, row.CallCount, calls, kept)
		}
	}
}

// TestWorkspacesWithoutAKeyShareALimit has calls that name a new workspace each time.
func TestWorkspacesWithoutAKeyShareALimit(t *testing.T) {
	const calls = 1000
	s, stored := newSharedRows(1, uuid7.NewGenerator(), func(workspaceID string) bool { return workspaceID == "acme" }), table{}
	for i := range calls {
		call := unproved(fmt.Sprint("made-up-", i), InvalidToken, noon)
		row, shared := s.rowOf(call, noon)
		s.markWritten(shared)
		stored.record(t, row)
		if i < burstSeconds && row != call {
			t.Errorf("call %d has the row %+v, want its own", i, row)
		}
	}
	if sum, rows := stored.calls(sharedRowKey{Unattributed, InvalidToken}); sum != calls-burstSeconds || rows != 1 {
		t.Errorf("%d rows stand for %d calls above the limit, want 1 for %d", rows, sum, calls-burstSeconds)
	}
	if len(s.limiters) != 1 || len(s.rows) != 1 {
		t.Errorf("%d limiters and %d shared rows of made-up workspaces", len(s.limiters), len(s.rows))
	}
	for range burstSeconds {
		call := unproved("acme", InvalidToken, noon)
		if row, shared := s.rowOf(call, noon); shared != nil || row != call {
			t.Errorf("a call of a workspace with a key has the row %+v, want its own", row)
		}
	}
}
