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

// tenant is a workspace with its clients and the model of its contents.
type tenant struct {
	id string
	// mark is in every name of the tenant.
	mark   string
	checks authv1.CheckServiceClient
	keys   authv1.KeyServiceClient
	logs   logsv1.LogServiceClient
	// has are the keys by id, gone the deleted ones.
	has, gone map[string]*modelKey
	// rows maps the ids of the request logs to their status.
	rows map[string]int32
	// pages are the page tokens that the tenant received.
	pages []string
}

// modelKey is a key in the model.
type modelKey struct {
	id, name, secret string
	disabled         bool
}

// newTenant returns a tenant whose tokens are for its workspace only.
func (s *system) newTenant(id, mark string) *tenant {
	s.t.Helper()
	auth, logs := dial(s.t, s.server.AuthAddr(), s.credentials(id)), dial(s.t, s.server.LogsAddr(), s.credentials(id))
	return &tenant{
		id: id, mark: mark, has: map[string]*modelKey{}, gone: map[string]*modelKey{}, rows: map[string]int32{},
		checks: authv1.NewCheckServiceClient(auth), keys: authv1.NewKeyServiceClient(auth), logs: logsv1.NewLogServiceClient(logs),
	}
}

// known returns all keys, including deleted ones.
func (n *tenant) known() []*modelKey {
	all := maps.Clone(n.has)
	maps.Copy(all, n.gone)
	return slices.SortedFunc(maps.Values(all), func(a, b *modelKey) int { return strings.Compare(a.id, b.id) })
}

// expectRows waits until a tenant has exactly the rows of the model.
func (s *system) expectRows(n *tenant) {
	s.t.Helper()
	var found map[string]int32
	s.await(func() bool {
		found = map[string]int32{}
		for _, row := range walk(s.t, n.logs, &logsv1.ListRequestLogsRequest{WorkspaceId: n.id}) {
			found[row.GetId()] = row.GetStatus()
		}
		return maps.Equal(found, n.rows)
	}, func() any { return fmt.Sprintf("%s has %v, want %v", n.id, found, n.rows) })
}

// expectNoneOf expects NOT_FOUND for the rows of another tenant.
func (s *system) expectNoneOf(n, other *tenant) {
	s.t.Helper()
	for id := range other.rows {
		row, err := n.logs.GetRequestLog(s.t.Context(), &logsv1.GetRequestLogRequest{WorkspaceId: n.id, RequestLogId: id})
		if row != nil || status.Code(err) != codes.NotFound {
			s.t.Fatalf("%s gets the row %s of %s: %v, %v", n.id, id, other.id, row, err)
		}
	}
}
