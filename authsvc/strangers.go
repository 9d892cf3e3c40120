package authsvc

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/keytrail/keytrail/internal/uuid7"
)

// DefaultStrangerRows is how many rows a second a workspace may have of calls that proved no key, where nothing else
// is configured.
const DefaultStrangerRows = 100

const (
	// strangerBurst is how many seconds of its rows a workspace that was quiet may have at once. A bucket that has not
	// been used for so long is full, which a new one is too.
	strangerBurst = 10
	// groupTime is how long a group takes calls, from its first.
	groupTime = time.Second
	// clockSlack is how far back a time may lie beside others: a caller reads the clock before its turn comes. What
	// lies further back is of a clock that was set back.
	clockSlack = time.Second
)

// strangers keeps calls that proved no key from filling a table. A token bucket for each workspace says how many of
// them have rows of their own. The others gather in groups, each of one workspace, one error code and one second, and a
// group has one row. Each call appends that row with the number of calls so far, and of the rows of one id the
// largest number counts: so nothing waits in memory for its second to end, and the sum over the rows is every call, in
// whatever order they arrive. One that was answered although its row found no room is in the number of the next.
//
// What a stranger sends must not fill the trail either: once a row of the group is on it whole, those behind it hold
// what tells them apart and the number alone. A trail delivers the rows of one id in order, and of finished ones the
// first stays, so that the row has what the first call sent. The id of such a row is made here, whatever call_id the first
// call had: a repetition of that call is another one. It may be used concurrently.
type strangers struct {
	rowsPerSecond int

	mu         sync.Mutex
	allowances map[string]*allowance // by workspace
	groups     map[groupName]*group
	swept      time.Time
}

// allowance is the rows that a workspace may still have.
type allowance struct {
	tokens *rate.Limiter
	used   time.Time
}

// groupName tells groups apart.
type groupName struct {
	workspaceID string
	code        ErrorCode
}

// group is the calls that share a row. It is guarded by the lock of its strangers.
type group struct {
	began time.Time
	// first is the entry of the first call: the row is the first's, but for the number.
	first Entry
	calls int
	// kept tells that a whole row is on the trail.
	kept bool
}

// row is the row to append now.
func (g *group) row() Entry {
	row := g.first
	if g.kept {
		row = Entry{ID: row.ID, WorkspaceID: row.WorkspaceID, Status: row.Status, ErrorCode: row.ErrorCode}
	}
	row.CallCount = g.calls
	return row
}

func newStrangers(rowsPerSecond int) *strangers {
	return &strangers{rowsPerSecond: rowsPerSecond, allowances: map[string]*allowance{}, groups: map[groupName]*group{}}
}

// row answers the row to append for a call that proved no key, and the group that it counts in; nil where the row is the
// call's own.
func (s *strangers) row(call Entry, now time.Time) (Entry, *group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now)
	if s.allowanceOf(call.WorkspaceID, now).tokens.AllowN(now, 1) {
		return call, nil
	}
	of := s.groupOf(call, now)
	of.calls++
	return of.row(), of
}

// keep notes that a row of a group is on the trail. The first one was whole.
func (s *strangers) keep(of *group) {
	if of == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	of.kept = true
}

// takeBack uncounts a call that was not answered, because its row is not on the trail. Every answered call had been
// counted when the next one was, so the largest number is never below that of the answered calls.
func (s *strangers) takeBack(of *group) {
	if of == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	of.calls--
}

func (s *strangers) allowanceOf(workspaceID string, now time.Time) *allowance {
	b := s.allowances[workspaceID]
	if b == nil || over(b.used, now, strangerBurst*time.Second) {
		b = &allowance{tokens: rate.NewLimiter(rate.Limit(s.rowsPerSecond), strangerBurst*s.rowsPerSecond)}
		s.allowances[workspaceID] = b
	}
	b.used = now
	return b
}

func (s *strangers) groupOf(call Entry, now time.Time) *group {
	name := groupName{call.WorkspaceID, call.ErrorCode}
	g := s.groups[name]
	if g == nil || over(g.began, now, groupTime) {
		call.ID = uuid7.New(now)
		g = &group{began: now, first: call}
		s.groups[name] = g
	}
	return g
}

// sweep forgets what has no effect any more, now and then; the caller holds the lock.
func (s *strangers) sweep(now time.Time) {
	if !over(s.swept, now, strangerBurst*time.Second) {
		return
	}
	s.swept = now
	for workspaceID, b := range s.allowances {
		if over(b.used, now, strangerBurst*time.Second) {
			delete(s.allowances, workspaceID)
		}
	}
	for name, g := range s.groups {
		if over(g.began, now, groupTime) {
			delete(s.groups, name)
		}
	}
}

// over tells whether a span that began then has ended. One that is yet to begin, by a clock that was set back since, has.
func over(began, now time.Time, span time.Duration) bool {
	age := now.Sub(began)
	return age >= span || age < -clockSlack
}
