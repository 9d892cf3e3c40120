package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"pgregory.net/rapid"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// tenantPair is two tenants. Each step acts as own and must reveal nothing of other.
type tenantPair struct {
	*rapid.T
	own, other *tenant
}

// expectNoLeak expects a response or error to hold nothing of the other tenant.
func (p *tenantPair) expectNoLeak(what string, answer proto.Message, err error) {
	text := fmt.Sprint(err)
	if err == nil {
		written, jsonErr := protojson.Marshal(answer)
		if jsonErr != nil {
			p.Fatal(jsonErr)
		}
		raw, wireErr := proto.Marshal(answer)
		if wireErr != nil {
			p.Fatal(wireErr)
		}
		text = string(written) + string(raw)
	}
	theirs := []string{p.other.mark}
	for _, key := range p.other.known() {
		theirs = append(theirs, key.id, key.secret, key.name)
	}
	for id := range p.other.rows {
		theirs = append(theirs, id)
	}
	for _, part := range theirs {
		if strings.Contains(text, part) {
			p.Fatalf("%s of %s holds %q of %s: %s", what, p.own.id, part, p.other.id, text)
		}
	}
}

// expect expects no leak and a status code.
func (p *tenantPair) expect(what string, answer proto.Message, err error, want codes.Code) {
	p.expectNoLeak(what, answer, err)
	if status.Code(err) != want {
		p.Fatalf("%s of %s: %v, want %v", what, p.own.id, err, want)
	}
}

// someKey draws a key of either tenant; nil if there is none.
func (p *tenantPair) someKey() (key *modelKey, own bool) {
	own = rapid.Bool().Draw(p.T, "own key")
	of := p.other
	if own {
		of = p.own
	}
	known := of.known()
	if len(known) == 0 {
		return nil, false
	}
	return known[rapid.IntRange(0, len(known)-1).Draw(p.T, "key")], own
}

// code returns the expected code of a call on a key: OK only if this tenant has the key.
func (p *tenantPair) code(key *modelKey) codes.Code {
	if p.own.has[key.id] == nil {
		return codes.NotFound
	}
	return codes.OK
}

func (p *tenantPair) create(t *testing.T) {
	name := rapid.SampledFrom([]string{"production", "CI"}).Draw(p.T, "name") + " " + p.own.mark
	answer, err := p.own.keys.CreateKey(t.Context(), &authv1.CreateKeyRequest{
		WorkspaceId: p.own.id, Key: &authv1.Key{Name: name, Scopes: []string{"agent"}, AllAgents: true},
	})
	p.expect("CreateKey", answer, err, codes.OK)
	id := answer.GetKey().GetId()
	p.own.has[id] = &modelKey{id: id, name: name, secret: answer.GetSecret()}
}

func (p *tenantPair) get(t *testing.T) {
	if key, own := p.someKey(); key != nil {
		answer, err := p.own.keys.GetKey(t.Context(), &authv1.GetKeyRequest{WorkspaceId: p.own.id, KeyId: key.id})
		p.expect("GetKey", answer, err, p.code(key))
		if got := answer.GetKey(); err == nil && (!own || got.GetName() != key.name || got.GetDisabled() != key.disabled) {
			p.Fatalf("the key is %v, want %v", got, key)
		}
		// The token of this tenant must not read the other's workspace.
		answer, err = p.own.keys.GetKey(t.Context(), &authv1.GetKeyRequest{WorkspaceId: p.other.id, KeyId: key.id})
		if answer != nil || status.Code(err) != codes.PermissionDenied {
			p.Fatalf("the key of another workspace: %v, %v", answer, err)
		}
	}
}

func (p *tenantPair) list(t *testing.T) {
	request := &authv1.ListKeysRequest{WorkspaceId: p.own.id, PageSize: int32(rapid.IntRange(1, 3).Draw(p.T, "page size"))}
	found := map[string]bool{}
	for more := true; more; more = request.PageToken != "" {
		answer, err := p.own.keys.ListKeys(t.Context(), request)
		p.expect("ListKeys", answer, err, codes.OK)
		for _, key := range answer.GetKeys() {
			if model := p.own.has[key.GetId()]; model == nil || model.name != key.GetName() || model.disabled != key.GetDisabled() {
				p.Fatalf("the list has %v, want %v", key, model)
			}
			found[key.GetId()] = true
		}
		if request.PageToken = answer.GetNextPageToken(); request.PageToken != "" {
			p.own.pages = append(p.own.pages, request.PageToken)
		}
	}
	if len(found) != len(p.own.has) {
		p.Fatalf("the list has %d keys, want %d", len(found), len(p.own.has))
	}
}

// listWithForeignToken lists with a page token of the other tenant.
func (p *tenantPair) listWithForeignToken(t *testing.T) {
	if len(p.other.pages) > 0 {
		token := rapid.SampledFrom(p.other.pages).Draw(p.T, "page token")
		keys, err := p.own.keys.ListKeys(t.Context(), &authv1.ListKeysRequest{WorkspaceId: p.own.id, PageToken: token})
		p.expect("ListKeys", keys, err, codes.InvalidArgument)
	}
}

func (p *tenantPair) update(t *testing.T) {
	if key, _ := p.someKey(); key != nil {
		disabled := rapid.Bool().Draw(p.T, "disabled")
		answer, err := p.own.keys.UpdateKey(t.Context(), &authv1.UpdateKeyRequest{
			WorkspaceId: p.own.id, KeyId: key.id, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"disabled"}},
			// The workspace in the key must be ignored.
			Key: &authv1.Key{Disabled: disabled, WorkspaceId: p.other.id},
		})
		p.expect("UpdateKey", answer, err, p.code(key))
		if err == nil {
			key.disabled = disabled
		}
	}
}

func (p *tenantPair) rotate(t *testing.T) {
	if key, _ := p.someKey(); key != nil {
		answer, err := p.own.keys.RotateKey(t.Context(), &authv1.RotateKeyRequest{
			WorkspaceId: p.own.id, KeyId: key.id, GracePeriod: durationpb.New(0),
		})
		p.expect("RotateKey", answer, err, p.code(key))
		if err == nil {
			key.secret = answer.GetSecret()
		}
	}
}

func (p *tenantPair) remove(t *testing.T) {
	if key, _ := p.someKey(); key != nil {
		answer, err := p.own.keys.DeleteKey(t.Context(), &authv1.DeleteKeyRequest{WorkspaceId: p.own.id, KeyId: key.id})
		p.expect("DeleteKey", answer, err, p.code(key))
		if err == nil {
			p.own.gone[key.id] = key
			delete(p.own.has, key.id)
		}
	}
}

// check checks a call with a key of either tenant, and reports it at random.
func (p *tenantPair) check(t *testing.T) {
	key, own := p.someKey()
	if key == nil {
		key = &modelKey{secret: "sk_unknown"}
	}
	proved, path := !own && p.other.has[key.id] != nil, "/v1/"+p.own.mark
	if proved {
		path = "/v1/" // the row goes to the log of the other tenant, which sees the endpoint
	}
	answer, err := p.own.checks.Check(t.Context(), &authv1.CheckRequest{
		ApiKey: key.secret, AgentType: "agent", AgentId: "support", Endpoint: path, WorkspaceId: p.own.id,
	})
	p.expect("Check", answer, err, codes.OK)
	id := answer.GetRequestLogId()
	usable := own && p.own.has[key.id] != nil && !key.disabled
	if answer.GetAllowed() != usable || proved && answer.GetWorkspaceId() != "" {
		p.Fatalf("the check returned %v, want allowed: %v", answer, usable)
	}
	rows := p.own.rows
	if proved {
		rows = p.other.rows // the row is in the workspace of the key
	}
	rows[id] = 0
	if !usable {
		rows[id] = answer.GetHttpStatus()
	}
	if rapid.Bool().Draw(p.T, "not reported") {
		return
	}
	outcomes := []*authv1.Outcome{{ReportToken: answer.GetReportToken(), Status: 201, LatencyMs: new(float64(1))}}
	// The other tenant cannot report it.
	foreign, err := p.other.checks.Report(t.Context(), &authv1.ReportRequest{Outcomes: outcomes})
	if err != nil || len(foreign.GetRefused()) != 1 || foreign.GetRefused()[0].GetReason() != "foreign_workspace" {
		p.Fatalf("the other's report: %v, %v", foreign, err)
	}
	done, err := p.own.checks.Report(t.Context(), &authv1.ReportRequest{Outcomes: outcomes})
	p.expect("Report", done, err, codes.OK)
	if len(done.GetRefused()) > 0 {
		p.Fatalf("refused %v", done.GetRefused())
	}
	rows[id] = 201
}

// read lists rows and requests a row of the other tenant.
func (p *tenantPair) read(t *testing.T) {
	answer, err := p.own.logs.ListRequestLogs(t.Context(), &logsv1.ListRequestLogsRequest{
		WorkspaceId: p.own.id, Endpoint: rapid.SampledFrom([]string{"", "/v1/", p.other.mark}).Draw(p.T, "endpoint"),
	})
	p.expect("ListRequestLogs", answer, err, codes.OK)
	if ids := slices.Sorted(maps.Keys(p.other.rows)); len(ids) > 0 {
		id := rapid.SampledFrom(ids).Draw(p.T, "row")
		row, err := p.own.logs.GetRequestLog(t.Context(), &logsv1.GetRequestLogRequest{WorkspaceId: p.own.id, RequestLogId: id})
		p.expect("GetRequestLog", row, err, codes.NotFound)
	}
}

// TestWorkspacesAreIsolated runs random steps in two workspaces with a common name prefix. Their keys, agents and
// paths differ only by a mark. No response to one tenant may hold the mark, an id or a secret of the other.
func TestWorkspacesAreIsolated(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	var all []*tenant
	pairs := 0
	rapid.Check(t, func(r *rapid.T) {
		pairs++
		name := fmt.Sprintf("acme%d", pairs)
		tenants := []*tenant{s.newTenant(name, "MARKONE"), s.newTenant(name+"-", "MARKTWO")}
		steps := map[string]func(*rapid.T){}
		for step, do := range map[string]func(*tenantPair, *testing.T){
			"create": (*tenantPair).create, "get": (*tenantPair).get, "list": (*tenantPair).list, "list with a foreign token": (*tenantPair).listWithForeignToken, "update": (*tenantPair).update,
			"rotate": (*tenantPair).rotate, "delete": (*tenantPair).remove, "check": (*tenantPair).check, "read": (*tenantPair).read,
		} {
			steps[step] = func(r *rapid.T) {
				i := rapid.IntRange(0, 1).Draw(r, "tenant")
				do(&tenantPair{T: r, own: tenants[i], other: tenants[1-i]}, t)
			}
		}
		r.Repeat(steps)
		all = append(all, tenants...)
	})
	for _, n := range all {
		s.expectRows(n)
	}
	for i, n := range all {
		s.expectNoneOf(n, all[i^1])
	}
	// A purge of one workspace must not change the other.
	for i, n := range all {
		if i%2 == 0 {
			if _, err := n.logs.PurgeRequestLogs(t.Context(), &logsv1.PurgeRequestLogsRequest{WorkspaceId: n.id}); err != nil {
				t.Fatal(err)
			}
			clear(n.rows)
		}
	}
	for _, n := range all {
		s.expectRows(n)
	}
}
