package e2e

import (
	"time"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

const (
	// overloadRowsPerSecond is the row rate of calls that prove no key. It is above what the regular load needs, and
	// even the burst of ten seconds is far below what an overload sends between two crashes.
	overloadRowsPerSecond = 15
	// overloadCalls is a number of calls that always exceeds the rate, despite the crashes.
	overloadCalls     = 3000
	overloadWorkspace = "overload"
)

// overload returns a load of calls that prove no key, far above the row rate.
func (s *cluster) overload() *load {
	call := func(apiKey string) *authv1.CheckRequest {
		return &authv1.CheckRequest{AgentType: "agent", ApiKey: apiKey, WorkspaceId: overloadWorkspace}
	}
	kinds := []kind{{"missing_token", call(""), overloadWorkspace, 1}, {"invalid_token", call("sk_unknown"), overloadWorkspace, 1}}
	return &load{checks: s.checks, kinds: kinds, clients: 4, every: 5 * time.Millisecond}
}

// startOverloads starts overloads. expectCounted stops them, waits until their rows are stored, and expects the call
// counts of the rows to cover all calls with a response and no more calls than were made.
func (s *cluster) startOverloads(overloads []*load) (expectCounted func(seed uint64)) {
	s.t.Helper()
	if len(overloads) > 0 { // without a key of the workspace, its shared rows are in another one
		k := &authv1.Key{Name: "k", Scopes: []string{"agent"}, AllAgents: true}
		if _, err := s.keys.CreateKey(s.t.Context(), &authv1.CreateKeyRequest{WorkspaceId: overloadWorkspace, Key: k}); err != nil {
			s.t.Fatal(err)
		}
	}
	stops := make([]func() (history, error), len(overloads))
	for i, overload := range overloads {
		_, stops[i] = overload.start(s.t)
	}
	return func(seed uint64) {
		s.t.Helper()
		var calls history
		for _, stop := range stops {
			made, err := stop()
			if err != nil {
				s.t.Fatalf("-seed %d: overload: %v", seed, err)
			}
			calls = append(calls, made...)
		}
		if len(calls) > 0 {
			s.logs.awaitReady()
			awaitShipped(s.t, s.auth.ops)
			calls.expectCounted(s, seed)
		}
	}
}

// expectCounted compares the calls of overloads with the call counts of their rows.
func (h history) expectCounted(s *cluster, seed uint64) {
	s.t.Helper()
	made, answered, counted, rows := map[string]int{}, map[string]int{}, map[string]int{}, map[string]bool{}
	for _, row := range walk(s.t, s.list, &logsv1.ListRequestLogsRequest{WorkspaceId: overloadWorkspace}) {
		counted[row.GetErrorCode()] += int(row.GetCallCount())
		rows[row.GetId()] = true
		if numberOf(row) < 0 || row.GetStatus() != 401 || row.GetAgentType() != "agent" {
			s.t.Errorf("-seed %d: the row %v does not match the first of its calls", seed, row)
		}
	}
	for _, c := range h {
		made[c.kind.code]++
		if c.checked == nil {
			continue
		}
		answered[c.kind.code]++
		if !rows[c.checked.row.GetId()] {
			s.t.Errorf("-seed %d: no row has the id of %v", seed, c.checked.row)
		}
	}
	for code := range made {
		if n := counted[code]; n < answered[code] || n > made[code] {
			s.t.Errorf("-seed %d: the rows of %s stand for %d calls, want %d to %d", seed, code, n, answered[code], made[code])
		}
	}
	// On a busy machine few calls may exceed the rate.
	if sum(counted) >= overloadCalls && len(rows) >= sum(counted)*3/4 {
		s.t.Errorf("-seed %d: %d rows for %d calls: too few calls shared a row", seed, len(rows), sum(counted))
	}
	s.t.Logf("overload: %d calls, %d with a response, %d counted in %d rows", len(h), sum(answered), sum(counted), len(rows))
}
