package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

const (
	acme   = "acme"
	globex = "globex"

	day = 24 * time.Hour
)

// fixture is the store of one subtest. All times are relative to now, because a store need only keep rows of the retention and
// one day ahead.
type fixture struct {
	*testing.T
	store logsvc.Store
	now   time.Time
}

// call returns a reported call of acme.
func (f *fixture) call(ago time.Duration) logsvc.Entry {
	return logsvc.Entry{
		ID: uuid7.New(f.now.Add(-ago)), WorkspaceID: acme, KeyID: uuid.New(), KeyName: "build", KeyLast4: "x7Qz", ExternalID: "customer-7",
		AgentType: "voice_agent", AgentID: "agent-1", Method: "POST", Endpoint: "/v1/agents/agent-1/calls",
		Status: 200, Latency: 12345 * time.Microsecond, Reported: true, CallCount: 1,
	}
}

// calls returns count calls, newest first, a second apart.
func (f *fixture) calls(count int) []logsvc.Entry {
	entries := make([]logsvc.Entry, count)
	for i := range entries {
		entries[i] = f.call(time.Duration(i) * time.Second)
	}
	return entries
}

// everything returns the range of all ids that a store may hold.
func (f *fixture) everything() logsvc.Range {
	return logsvc.Range{From: uuid7.First(f.now.Add(-30 * day)), To: uuid7.First(f.now.Add(day))}
}

func (f *fixture) record(entries ...logsvc.Entry) {
	f.Helper()
	if err := f.store.Record(f.Context(), entries); err != nil {
		f.Fatalf("Record: %v", err)
	}
}

func (f *fixture) list(query logsvc.Query) logsvc.Page {
	f.Helper()
	page, err := f.store.List(f.Context(), query)
	if err != nil {
		f.Fatalf("List(%+v): %v", query, err)
	}
	return page
}

// all returns all matches of the workspace, in one page.
func (f *fixture) all(workspaceID string, filter logsvc.Filter) []logsvc.Entry {
	f.Helper()
	return f.list(logsvc.Query{
		WorkspaceID: workspaceID, Filter: filter, Range: f.everything(), Limit: 100_000,
	}).Entries
}

// holds fails unless the workspace holds exactly these entries, newest first.
func (f *fixture) holds(workspaceID string, want ...logsvc.Entry) {
	f.Helper()
	f.same(f.all(workspaceID, logsvc.Filter{}), want)
}

func (f *fixture) same(got, want []logsvc.Entry) {
	f.Helper()
	if !slices.Equal(got, want) {
		f.Fatalf("got %d entries:\n%+v\nwant %d:\n%+v", len(got), got, len(want), want)
	}
}

// purge deletes all entries of the workspace up to an id and returns how many.
func (f *fixture) purge(workspaceID string, upTo uuid.UUID) (total int64) {
	f.Helper()
	for {
		n, err := f.store.Purge(f.Context(), workspaceID, upTo)
		if err != nil {
			f.Fatalf("Purge: %v", err)
		}
		if n == 0 {
			return total
		}
		total += n
	}
}

func (f *fixture) expire(before uuid.UUID) {
	f.Helper()
	if err := f.store.Expire(f.Context(), before); err != nil {
		f.Fatalf("Expire: %v", err)
	}
}

// in returns the entry in another workspace.
func in(workspaceID string, e logsvc.Entry) logsvc.Entry {
	e.WorkspaceID = workspaceID
	return e
}

// counted returns the entry as a row about several calls.
func counted(e logsvc.Entry, calls int) logsvc.Entry {
	e.CallCount = calls
	return e
}

// reported returns the entry after a report.
func reported(e logsvc.Entry, status int, errorCode string, latency time.Duration) logsvc.Entry {
	e.Status, e.ErrorCode, e.Latency, e.Reported = status, errorCode, latency, true
	return e
}

// denied returns the entry after a check that denied the call.
func denied(e logsvc.Entry, status int, errorCode, cause string) logsvc.Entry {
	e.Status, e.ErrorCode, e.Cause, e.Latency, e.Reported = status, errorCode, cause, 0, false
	return e
}

func inProgress(e logsvc.Entry) logsvc.Entry { return denied(e, 0, "", "") }

// fromReport returns the entry with a description that was made from a report alone.
func fromReport(e logsvc.Entry) logsvc.Entry {
	e.KeyName, e.ExternalID, e.AgentID, e.Endpoint, e.FromReport = "bui", "cust", "agent", "/v1", true
	return e
}
