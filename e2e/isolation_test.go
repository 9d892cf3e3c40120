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

// pair is two tenants; each step is of one, with its eye on the other.
type pair struct {
	*rapid.T
	own, other *tenant
}

// look holds an answer, or an error, against everything that is the other's.
func (p *pair) look(what string, answer proto.Message, err error) {
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

// expect looks, and expects a code.
func (p *pair) expect(what string, answer proto.Message, err error, want codes.Code) {
	p.look(what, answer, err)
	if status.Code(err) != want {
		p.Fatalf("%s of %s: %v, want %v", what, p.own.id, err, want)
	}
}

// someKey draws a key of either tenant, nil where there is none.
func (p *pair) someKey() (key *held, own bool) {
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

// code is how a call on a key must end: only on one that this tenant still has does it succeed.
func (p *pair) code(key *held) codes.Code {
	if p.own.has[key.id] == nil {
		return codes.NotFound
	}
	return codes.OK
}

func (p *pair) create(t *testing.T) {
	name := rapid.SampledFrom([]string{"production", "CI"}).Draw(p.T, "name") + " " + p.own.mark
	answer, err := p.own.keys.CreateKey(t.Context(), &authv1.CreateKeyRequest{
		WorkspaceId: p.own.id, Key: &authv1.Key{Name: name, Scopes: []string{"agent"}, AllAgents: true},
	})
	p.expect("CreateKey", answer, err, codes.OK)
	id := answer.GetKey().GetId()
	p.own.has[id] = &held{id: id, name: name, secret: answer.GetSecret()}
}

func (p *pair) get(t *testing.T) {
	if key, own := p.someKey(); key != nil {
		answer, err := p.own.keys.GetKey(t.Context(), &authv1.GetKeyRequest{WorkspaceId: p.own.id, KeyId: key.id})
		p.expect("GetKey", answer, err, p.code(key))
		if got := answer.GetKey(); err == nil && (!own || got.GetName() != key.name || got.GetDisabled() != key.disabled) {
			p.Fatalf("the key is %v, want %v", got, key)
		}
		// Nor does the other's workspace open to this tenant's token.
		answer, err = p.own.keys.GetKey(t.Context(), &authv1.GetKeyRequest{WorkspaceId: p.other.id, KeyId: key.id})
		if answer != nil || status.Code(err) != codes.PermissionDenied {
			p.Fatalf("the key of another workspace: %v, %v", answer, err)
		}
	}
}

func (p *pair) list(t *testing.T) {
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

// listOn goes on with a page of the other's.
func (p *pair) listOn(t *testing.T) {
	if len(p.other.pages) > 0 {
		token := rapid.SampledFrom(p.other.pages).Draw(p.T, "page token")
		keys, err := p.own.keys.ListKeys(t.Context(), &authv1.ListKeysRequest{WorkspaceId: p.own.id, PageToken: token})
		p.expect("ListKeys", keys, err, codes.InvalidArgument)
	}
}

func (p *pair) update(t *testing.T) {
	if key, _ := p.someKey(); key != nil {
		disabled := rapid.Bool().Draw(p.T, "disabled")
		answer, err := p.own.keys.UpdateKey(t.Context(), &authv1.UpdateKeyRequest{
			WorkspaceId: p.own.id, KeyId: key.id, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"disabled"}},
			// What it says of its workspace is not for the caller to say.
			Key: &authv1.Key{Disabled: disabled, WorkspaceId: p.other.id},
		})
		p.expect("UpdateKey", answer, err, p.code(key))
		if err == nil {
			key.disabled = disabled
		}
	}
}

func (p *pair) rotate(t *testing.T) {
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

func (p *pair) remove(t *testing.T) {
	if key, _ := p.someKey(); key != nil {
		answer, err := p.own.keys.DeleteKey(t.Context(), &authv1.DeleteKeyRequest{WorkspaceId: p.own.id, KeyId: key.id})
		p.expect("DeleteKey", answer, err, p.code(key))
		if err == nil {
			p.own.gone[key.id] = key
			delete(p.own.has, key.id)
		}
	}
}

// check checks a call on an agent of this tenant with whosoever key, and perhaps reports it.
func (p *pair) check(t *testing.T) {
	key, own := p.someKey()
	if key == nil {
		key = &held{secret: "sk_nobody"}
	}
	proved, path := !own && p.other.has[key.id] != nil, "/v1/"+p.own.mark
	if proved {
		path = "/v1/" // what the other's own client calls is for the other to see
	}
	answer, err := p.own.checks.Check(t.Context(), &authv1.CheckRequest{
		ApiKey: key.secret, AgentType: "agent", AgentId: "support", Endpoint: path, WorkspaceId: p.own.id,
	})
	p.expect("Check", answer, err, codes.OK)
	id := answer.GetRequestLogId()
	usable := own && p.own.has[key.id] != nil && !key.disabled
	if answer.GetAllowed() != usable || proved && answer.GetWorkspaceId() != "" {
		p.Fatalf("the check answers %v, want it allowed: %v", answer, usable)
	}
	rows := p.own.rows
	if proved {
		rows = p.other.rows // the log of the key's own workspace shows what it was used for
	}
	rows[id] = 0
	if !usable {
		rows[id] = answer.GetHttpStatus()
	}
	if rapid.Bool().Draw(p.T, "not reported") {
		return
	}
	outcomes := []*authv1.Outcome{{ReportToken: answer.GetReportToken(), Status: 201, LatencyMs: new(float64(1))}}
	// The other cannot report it.
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

// read lists the rows that have arrived, and asks for one of the other's.
func (p *pair) read(t *testing.T) {
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

// TestNothingCrossesWorkspaces does whatever comes to mind in two workspaces at a time, whose names begin alike and
// whose keys, agents and paths have the same names but for a mark, and looks for the one's mark, ids and secrets in
// every answer to the other.
func TestNothingCrossesWorkspaces(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	var all []*tenant
	pairs := 0
	rapid.Check(t, func(r *rapid.T) {
		pairs++
		name := fmt.Sprintf("acme%d", pairs)
		tenants := []*tenant{s.newTenant(name, "MARKONE"), s.newTenant(name+"-", "MARKTWO")}
		steps := map[string]func(*rapid.T){}
		for step, do := range map[string]func(*pair, *testing.T){
			"create": (*pair).create, "get": (*pair).get, "list": (*pair).list, "list on": (*pair).listOn, "update": (*pair).update,
			"rotate": (*pair).rotate, "delete": (*pair).remove, "check": (*pair).check, "read": (*pair).read,
		} {
			steps[step] = func(r *rapid.T) {
				i := rapid.IntRange(0, 1).Draw(r, "tenant")
				do(&pair{T: r, own: tenants[i], other: tenants[1-i]}, t)
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
	// The one half is erased, and the other is as it was.
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
