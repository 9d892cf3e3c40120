package authsvc

import (
	"maps"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/keytrail/keytrail/internal/uuid7"
)

// DefaultUnprovedRows is the default of CheckerConfig.UnprovedRows.
const DefaultUnprovedRows = 100

const (
	// burstSeconds is how many seconds of its rows a quiet workspace may have at once. A limiter that was not used for
	// that long is full again, like a new one.
	burstSeconds = 10
	// sharedRowTime is how long a shared row takes calls, from its first.
	sharedRowTime = time.Second
	// clockSlack is how far a time may lie before others, because a caller reads the clock before it takes the lock.
	// Times further back mean that the clock was set back.
	clockSlack = time.Second
)

// sharedRows keeps calls that prove no key from filling the table of request logs. Each workspace that has a key has a token
// bucket of rows for them; all others share one, because a caller can make up any number of them. Calls above it share rows:
// one for each bucket, error code and second. That of workspaces without a key is in the workspace Unattributed. Every such
// call appends the shared row with the number of calls so far, and of the rows of one id the largest number counts. So no
// row waits in memory for its second to end, and the sum over the rows is every call, in whatever order they arrive. A call
// that was decided although the trail had no room for its row is in the next number.
//
// These calls must not fill the trail either: once a shared row is on it whole, the next ones carry only the number and
// what identifies the row. The trail delivers rows of one id in order and the first finished one wins, so the stored row
// has what the first call sent. A shared row gets a new id, whatever call_id its first call had: a retry of that call is
// another call. It is safe for concurrent use.
type sharedRows struct {
	rowsPerSecond int
	ids           *uuid7.Generator
	hasKeys       func(workspaceID string) bool

	mu       sync.Mutex
	limiters map[string]*rowLimiter // by workspace; Unattributed for all that have no key
	rows     map[sharedRowKey]*sharedRow
	swept    time.Time
}

// rowLimiter is the bucket of one workspace, or of all that have no key.
type rowLimiter struct {
	*rate.Limiter
	lastUsed time.Time
}

type sharedRowKey struct {
	workspaceID string
	code        ErrorCode
}

// sharedRow is guarded by the lock of its sharedRows.
type sharedRow struct {
	began time.Time
	first Entry // of the first call
	calls int
	// written is set once the whole row is on the trail.
	written bool
}

// entry returns the row to append now.
func (r *sharedRow) entry() Entry {
	row := r.first
	if r.written {
		row = Entry{ID: row.ID, WorkspaceID: row.WorkspaceID, Status: row.Status, ErrorCode: row.ErrorCode}
	}
	row.CallCount = r.calls
	return row
}

func newSharedRows(rowsPerSecond int, ids *uuid7.Generator, hasKeys func(string) bool) *sharedRows {
	return &sharedRows{
		rowsPerSecond: rowsPerSecond, ids: ids, hasKeys: hasKeys,
		limiters: map[string]*rowLimiter{}, rows: map[sharedRowKey]*sharedRow{},
	}
}

// rowOf returns the row to append for a call that proved no key, and the shared row that counts the call; nil if the call
// has a row of its own.
func (s *sharedRows) rowOf(call Entry, now time.Time) (Entry, *sharedRow) {
	workspaceID := call.WorkspaceID
	if !s.hasKeys(workspaceID) {
		workspaceID = Unattributed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now)
	if s.limiterOf(workspaceID, now).AllowN(now, 1) {
		return call, nil
	}
	key := sharedRowKey{workspaceID, call.ErrorCode}
	row := s.rows[key]
	if row == nil || elapsed(row.began, now, sharedRowTime) {
		call.ID, call.WorkspaceID = s.ids.New(now), workspaceID
		row = &sharedRow{began: now, first: call}
		s.rows[key] = row
	}
	row.calls++
	return row.entry(), row
}

// markWritten notes that a shared row is on the trail. The first one that was written was whole. A nil row is ignored.
func (s *sharedRows) markWritten(row *sharedRow) {
	if row != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		row.written = true
	}
}

// uncount subtracts a call that was refused because its row is not on the trail. Every other call was counted before
// the next one, so the largest number is never below the number of calls that were decided. A nil row is ignored.
func (s *sharedRows) uncount(row *sharedRow) {
	if row != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		row.calls--
	}
}

func (s *sharedRows) limiterOf(workspaceID string, now time.Time) *rowLimiter {
	limiter := s.limiters[workspaceID]
	if limiter == nil || elapsed(limiter.lastUsed, now, burstSeconds*time.Second) {
		limiter = &rowLimiter{Limiter: rate.NewLimiter(rate.Limit(s.rowsPerSecond), burstSeconds*s.rowsPerSecond)}
		s.limiters[workspaceID] = limiter
	}
	limiter.lastUsed = now
	return limiter
}

// sweep removes limiters that are full and rows that have ended. The caller holds the lock.
func (s *sharedRows) sweep(now time.Time) {
	if !elapsed(s.swept, now, burstSeconds*time.Second) {
		return
	}
	s.swept = now
	maps.DeleteFunc(s.limiters, func(_ string, l *rowLimiter) bool { return elapsed(l.lastUsed, now, burstSeconds*time.Second) })
	maps.DeleteFunc(s.rows, func(_ sharedRowKey, r *sharedRow) bool { return elapsed(r.began, now, sharedRowTime) })
}

// elapsed reports whether a span that began then has ended. A span that begins later than now ended when the clock was
// set back.
func elapsed(began, now time.Time, span time.Duration) bool {
	age := now.Sub(began)
	return age >= span || age < -clockSlack
}
