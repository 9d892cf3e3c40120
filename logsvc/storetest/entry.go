package storetest

import (
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

// call returns a reported call of acme.
func (f *fixture) call(ago time.Duration) logsvc.Entry {
	return logsvc.Entry{
		ID: uuid7.New(f.now.Add(-ago)), WorkspaceID: acme,
		KeyID: uuid.New(), KeyName: "build", KeyLast4: "x7Qz", ExternalID: "customer-7",
		AgentType: "voice_agent", AgentID: "agent-1", Method: "POST", Endpoint: "/v1/agents/agent-1/calls",
		Status: 200, Latency: 12345 * time.Microsecond, Reported: true, CallCount: 1,
	}
}

// calls returns count calls, newest first, a second apart.
func (f *fixture) calls(count int) []logsvc.Entry {
	return f.callsBefore(f.now, count)
}

// callsOfADay returns count calls of one UTC day, newest first, a second apart.
func (f *fixture) callsOfADay(count int) []logsvc.Entry {
	return f.callsBefore(f.now.Truncate(day).Add(-12*time.Hour), count)
}

func (f *fixture) callsBefore(t time.Time, count int) []logsvc.Entry {
	entries := make([]logsvc.Entry, count)
	for i := range entries {
		entries[i] = f.call(f.now.Sub(t) + time.Duration(i)*time.Second)
	}
	return entries
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

// redescribed returns the entry with another description.
func redescribed(e logsvc.Entry) logsvc.Entry {
	e.KeyID, e.KeyName, e.KeyLast4, e.ExternalID = uuid.New(), "renamed", "9999", "customer-8"
	e.AgentType, e.AgentID, e.Method, e.Endpoint = "agent", "agent-2", "PUT", "/other"
	return e
}
