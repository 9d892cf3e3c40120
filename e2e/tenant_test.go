package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// tenant is a workspace with whoever works in it, and with what must be in it.
type tenant struct {
	id string
	// mark is in everything that the tenant names.
	mark   string
	checks authv1.CheckServiceClient
	keys   authv1.KeyServiceClient
	logs   logsv1.LogServiceClient
	// has are the keys, by id; gone are those that were deleted.
	has, gone map[string]*held
	// rows are the request logs, by id, with their status.
	rows map[string]int32
	// pages are the page tokens that were answered.
	pages []string
}

// held is a key as the model knows it.
type held struct {
	id, name, secret string
	disabled         bool
}

// newTenant lets a workspace be used, with tokens of that workspace alone.
func (s *system) newTenant(id, mark string) *tenant {
	s.t.Helper()
	auth, logs := dial(s.t, s.server.AuthAddr(), s.callers(id)), dial(s.t, s.server.LogsAddr(), s.callers(id))
	return &tenant{
		id: id, mark: mark, has: map[string]*held{}, gone: map[string]*held{}, rows: map[string]int32{},
		checks: authv1.NewCheckServiceClient(auth), keys: authv1.NewKeyServiceClient(auth), logs: logsv1.NewLogServiceClient(logs),
	}
}

// known are all keys that there ever were.
func (n *tenant) known() []*held {
	all := maps.Clone(n.has)
	maps.Copy(all, n.gone)
	return slices.SortedFunc(maps.Values(all), func(a, b *held) int { return strings.Compare(a.id, b.id) })
}

// expectRows waits until a tenant has the rows of the model, and no other.
func (s *system) expectRows(n *tenant) {
	s.t.Helper()
	var found map[string]int32
	s.await(func() bool {
		found = map[string]int32{}
		request := &logsv1.ListRequestLogsRequest{WorkspaceId: n.id, PageSize: 1000}
		for more := true; more; more = request.PageToken != "" {
			answer, err := n.logs.ListRequestLogs(s.t.Context(), request)
			if err != nil {
				s.t.Fatal(err)
			}
			for _, row := range answer.GetRequestLogs() {
				found[row.GetId()] = row.GetStatus()
			}
			request.PageToken = answer.GetNextPageToken()
		}
		return maps.Equal(found, n.rows)
	}, func() any { return fmt.Sprintf("%s has %v, want %v", n.id, found, n.rows) })
}

// expectNoneOf asks for the rows of another tenant, which are there, as if they were this one's.
func (s *system) expectNoneOf(n, other *tenant) {
	s.t.Helper()
	for id := range other.rows {
		row, err := n.logs.GetRequestLog(s.t.Context(), &logsv1.GetRequestLogRequest{WorkspaceId: n.id, RequestLogId: id})
		if row != nil || status.Code(err) != codes.NotFound {
			s.t.Fatalf("%s gets the row %s of %s: %v, %v", n.id, id, other.id, row, err)
		}
	}
}
