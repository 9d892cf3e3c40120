package e2e

import (
	"time"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

const (
	// floodRows is how many rows a second strangers may have in each workspace under a flood: more than the strangers of
	// an ordinary load need, and with ten times that at once far less than a flood makes between two crashes.
	floodRows = 15
	// floodCalls are so many that some are above the rate, whatever the crashes do to it.
	floodCalls = 3000
	// flooded is the workspace that a flood is in.
	flooded = "flooded"
)

// flood is a load of strangers far above their rate.
func (s *stand) flood() *load {
	call := func(apiKey string) *authv1.CheckRequest {
		return &authv1.CheckRequest{AgentType: "agent", ApiKey: apiKey, WorkspaceId: flooded}
	}
	kinds := []kind{{"missing_token", call(""), flooded, 1}, {"invalid_token", call("sk_stranger"), flooded, 1}}
	return &load{checks: s.checks, kinds: kinds, clients: 4, every: 5 * time.Millisecond}
}

// startFloods lets floods run until expectCounted is called, which waits until their rows are stored and expects them to
// stand for every answered call, and for no more than were made.
func (s *stand) startFloods(floods []*load) (expectCounted func(seed uint64)) {
	s.t.Helper()
	stops := make([]func() (ledger, error), len(floods))
	for i, flood := range floods {
		_, stops[i] = flood.start(s.t)
	}
	return func(seed uint64) {
		s.t.Helper()
		var calls ledger
		for _, stop := range stops {
			made, err := stop()
			if err != nil {
				s.t.Fatalf("-seed %d: a flood: %v", seed, err)
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

// expectCounted holds the calls of a flood against its rows.
func (l ledger) expectCounted(s *stand, seed uint64) {
	s.t.Helper()
	made, answered, counted, rows := map[string]int{}, map[string]int{}, map[string]int{}, map[string]bool{}
	for _, row := range walk(s.t, s.list, &logsv1.ListRequestLogsRequest{WorkspaceId: flooded}) {
		counted[row.GetErrorCode()] += int(row.GetCallCount())
		rows[row.GetId()] = true
		if numberOf(row) < 0 || row.GetStatus() != 401 || row.GetAgentType() != "agent" {
			s.t.Errorf("-seed %d: the row %v has not what the first of its calls sent", seed, row)
		}
	}
	for _, c := range l {
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
			s.t.Errorf("-seed %d: the rows of %s stand for %d calls, %d were answered of %d", seed, code, n, answered[code], made[code])
		}
	}
	// A machine that is too busy to make a flood has few calls above the rate, or none.
	if sum(counted) >= floodCalls && len(rows) >= sum(counted)*3/4 {
		s.t.Errorf("-seed %d: %d rows for %d calls: this tests little", seed, len(rows), sum(counted))
	}
	s.t.Logf("a flood of %d calls, %d answered, is counted as %d in %d rows", len(l), sum(answered), sum(counted), len(rows))
}
