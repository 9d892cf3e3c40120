package access

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/fault"
)

// services are what a server with all of Keytrail's services has.
func services() map[string]grpc.ServiceInfo {
	server := grpc.NewServer()
	authv1.RegisterCheckServiceServer(server, authv1.UnimplementedCheckServiceServer{})
	authv1.RegisterKeyServiceServer(server, authv1.UnimplementedKeyServiceServer{})
	logsv1.RegisterLogServiceServer(server, logsv1.UnimplementedLogServiceServer{})
	return server.GetServiceInfo()
}

// gate makes the gate of a server of all services.
func (w *world) gate(t testing.TB) *Gate {
	t.Helper()
	gate := NewGate(w.verifier)
	must(t, gate.Protect(services()))
	return gate
}

// call sends a request through a gate with headers, and answers whether it came through.
func call(ctx context.Context, gate *Gate, method string, request any, authorization ...string) (through bool, err error) {
	ctx = metadata.NewIncomingContext(ctx, metadata.MD{"authorization": authorization})
	_, err = gate.Unary(ctx, request, &grpc.UnaryServerInfo{FullMethod: method}, func(context.Context, any) (any, error) {
		through = true
		return nil, nil
	})
	return through, err
}

func TestServerWithAnRPCOfNoRoleDoesNotStart(t *testing.T) {
	server := grpc.NewServer()
	grpc_testing.RegisterTestServiceServer(server, grpc_testing.UnimplementedTestServiceServer{})
	gate := NewGate(newWorld(t).verifier)
	if err := gate.Protect(server.GetServiceInfo()); err == nil || !strings.Contains(err.Error(), "grpc.testing.TestService.") {
		t.Errorf("protected with %v, want an error that names the RPC", err)
	}
	nowhere := map[string]grpc.ServiceInfo{"no.Such": {Methods: []grpc.MethodInfo{{Name: "Thing"}}}}
	if err := gate.Protect(nowhere); err == nil || !strings.Contains(err.Error(), "no.Such.Thing") {
		t.Errorf("protected with %v, want an error that names the RPC", err)
	}
	message := map[string]grpc.ServiceInfo{"keytrail.logs.v1": {Methods: []grpc.MethodInfo{{Name: "RequestLog"}}}}
	if err := gate.Protect(message); err == nil || !strings.Contains(err.Error(), "keytrail.logs.v1.RequestLog") {
		t.Errorf("protected with %v, want an error that names what is no RPC", err)
	}
}

func TestGateThatKnowsNoRulesLetsNothingThrough(t *testing.T) {
	w := newWorld(t)
	through, err := call(t.Context(), NewGate(w.verifier), authv1.KeyService_ListKeys_FullMethodName, &authv1.ListKeysRequest{},
		"Bearer "+w.token(t, Admin, AllWorkspaces))
	if through || fault.KindOf(err) != fault.Forbidden {
		t.Errorf("through %v, %v", through, err)
	}
}

// What Enter has found holds for the call that entered, and for its workspaces and method alone.
func TestUnaryGoesByWhatEnterHasFound(t *testing.T) {
	w := newWorld(t)
	gate := w.gate(t)
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+w.token(t, Viewer, "acme")))
	ctx, err := gate.Enter(ctx, authv1.KeyService_ListKeys_FullMethodName)
	must(t, err)
	w.pass(2 * time.Hour) // whoever verifies the token again finds it expired
	for _, tt := range []struct {
		method  string
		request proto.Message
		want    fault.Kind // zero: it comes through
	}{
		{authv1.KeyService_ListKeys_FullMethodName, &authv1.ListKeysRequest{WorkspaceId: "acme"}, 0},
		{authv1.KeyService_ListKeys_FullMethodName, &authv1.ListKeysRequest{WorkspaceId: "umbrella"}, fault.Forbidden},
		{authv1.KeyService_GetKey_FullMethodName, &authv1.GetKeyRequest{WorkspaceId: "acme"}, fault.Unauthenticated},
	} {
		through := false
		_, err := gate.Unary(ctx, tt.request, &grpc.UnaryServerInfo{FullMethod: tt.method}, func(context.Context, any) (any, error) {
			through = true
			return nil, nil
		})
		if fault.KindOf(err) != tt.want || through != (err == nil) {
			t.Errorf("%s of %v: through %v, %v; want %v", tt.method, tt.request, through, err, tt.want)
		}
	}
}

func TestCallCarriesExactlyOneToken(t *testing.T) {
	w := newWorld(t)
	gate, token := w.gate(t), w.token(t, Viewer, "acme")
	for name, tt := range map[string]struct {
		headers []string
		says    string // empty: it comes through
	}{
		"as it should be":           {[]string{"Bearer " + token}, ""},
		"in lower case":             {[]string{"bearer " + token}, ""},
		"none":                      {nil, "no token"},
		"an empty one":              {[]string{""}, "must be `Bearer"},
		"two":                       {[]string{"Bearer " + token, "Bearer " + token}, "more than one"},
		"two in one":                {[]string{"Bearer " + token + ", Bearer " + token}, "malformed"},
		"another before it":         {[]string{"", "Bearer " + token}, "more than one"},
		"another scheme":            {[]string{"Basic " + token}, "must be `Bearer"},
		"no scheme":                 {[]string{token}, "must be `Bearer"},
		"the scheme alone":          {[]string{"Bearer "}, "must be `Bearer"},
		"a space too many":          {[]string{"Bearer  " + token}, "malformed"},
		"a space after it":          {[]string{"Bearer " + token + " "}, "malformed"},
		"bad UTF-8":                 {[]string{"Bearer \xff" + token}, "malformed"},
		"a megabyte":                {[]string{"Bearer " + strings.Repeat("A", 1<<20)}, "longer than"},
		"a scheme that is too long": {[]string{strings.Repeat("Bearer", 1<<18)}, "must be `Bearer"},
	} {
		t.Run(name, func(t *testing.T) {
			through, err := call(t.Context(), gate, authv1.KeyService_ListKeys_FullMethodName, &authv1.ListKeysRequest{WorkspaceId: "acme"}, tt.headers...)
			if through != (tt.says == "") {
				t.Fatalf("through %v, %v", through, err)
			}
			if tt.says == "" {
				return
			}
			if fault.KindOf(err) != fault.Unauthenticated || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("refused with %v, want %q", err, tt.says)
			}
			expectNoneOf(t, err.Error(), token)
		})
	}
}

func TestRolesIncludeOneAnotherOnceOnly(t *testing.T) {
	for _, held := range Roles {
		for _, needed := range Roles {
			if want := held == needed || held == Admin && needed == Viewer; held.covers(needed) != want {
				t.Errorf("%s covers %s: %v", held, needed, !want)
			}
		}
	}
	if Role("").Valid() || Role("unspecified").Valid() || !Admin.Valid() {
		t.Error("a role that is none is valid, or the reverse")
	}
}

func TestEveryWorkspaceOfARequestIsLookedAt(t *testing.T) {
	rows := func(workspaces ...string) *logsv1.RecordRequestLogsRequest {
		request := &logsv1.RecordRequestLogsRequest{}
		for _, workspace := range workspaces {
			request.Records = append(request.Records, &logsv1.RequestLogRecord{RequestLog: &logsv1.RequestLog{WorkspaceId: workspace}})
		}
		return request
	}
	const check, record = authv1.CheckService_Check_FullMethodName, logsv1.LogService_RecordRequestLogs_FullMethodName
	const field = "records.request_log.workspace_id"
	w := newWorld(t)
	gate := w.gate(t)
	for name, tt := range map[string]struct {
		method  string
		role    Role
		request proto.Message
		says    string // empty: it comes through
	}{
		"a check in its workspace":        {check, Checker, &authv1.CheckRequest{WorkspaceId: "acme"}, ""},
		"a check in its other workspace":  {check, Checker, &authv1.CheckRequest{WorkspaceId: "globex"}, ""},
		"a check in another":              {check, Checker, &authv1.CheckRequest{WorkspaceId: "initech"}, `"initech"`},
		"a check in none":                 {check, Checker, &authv1.CheckRequest{}, "workspace_id must name"},
		"a check in one that is too long": {check, Checker, &authv1.CheckRequest{WorkspaceId: strings.Repeat("x", 1<<20)}, strings.Repeat("x", 70) + `"`},
		"a check in one of bad UTF-8":     {check, Checker, &authv1.CheckRequest{WorkspaceId: "acme\xff"}, `"acme\xff"`},
		"rows of both":                    {record, Ingester, rows("acme", "globex"), ""},
		"rows with another in between":    {record, Ingester, rows("acme", "initech", "globex"), `"initech"`},
		"rows with another at the end":    {record, Ingester, rows("acme", "initech"), `"initech"`},
		"rows of nobody":                  {record, Ingester, rows("_unattributed"), `"_unattributed"`},
		"a record without a row":          {record, Ingester, &logsv1.RecordRequestLogsRequest{Records: []*logsv1.RequestLogRecord{{}}}, field},
		"no rows":                         {record, Ingester, rows(), field},
		"another request than the RPC's":  {check, Checker, &authv1.ListKeysRequest{WorkspaceId: "acme"}, "all workspaces"},
	} {
		t.Run(name, func(t *testing.T) {
			through, err := call(t.Context(), gate, tt.method, tt.request, "Bearer "+w.token(t, tt.role, "acme", "globex"))
			if through != (tt.says == "") {
				t.Fatalf("through %v, %v", through, err)
			}
			if f, _ := errors.AsType[*fault.Error](err); !through && (f == nil || f.Reason != fault.WorkspaceForbidden || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("refused with %.200v, want %q", err, tt.says)
			}
			if through, err := call(t.Context(), gate, tt.method, tt.request, "Bearer "+w.token(t, tt.role, AllWorkspaces)); !through {
				t.Errorf("with all workspaces: %v", err)
			}
		})
	}
}

// TestAnyWorkspaceAndAnyRole calls RPCs whose rules have any_workspace and ROLE_ANY; their handlers see who calls.
func TestAnyWorkspaceAndAnyRole(t *testing.T) {
	const report, catalog = authv1.CheckService_Report_FullMethodName, authv1.KeyService_GetCatalog_FullMethodName
	w := newWorld(t)
	gate := w.gate(t)
	for _, tt := range []struct {
		method     string
		role       Role
		workspaces []string
		want       fault.Kind // zero: it comes through
	}{
		{report, Checker, []string{"acme"}, 0},
		{report, Checker, []string{AllWorkspaces}, 0},
		{report, Viewer, []string{AllWorkspaces}, fault.Forbidden},
		{catalog, Checker, []string{"acme"}, 0},
		{catalog, Ingester, []string{"acme"}, 0},
		{catalog, Viewer, []string{"acme"}, 0},
		{catalog, Admin, []string{"acme"}, 0},
	} {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+w.token(t, tt.role, tt.workspaces...)))
		var who *Identity
		_, err := gate.Unary(ctx, &authv1.ReportRequest{}, &grpc.UnaryServerInfo{FullMethod: tt.method}, func(ctx context.Context, _ any) (any, error) {
			who, _ = FromContext(ctx)
			return nil, nil
		})
		if fault.KindOf(err) != tt.want || (who != nil) != (err == nil) {
			t.Errorf("%s as %s of %q: %v, called by %v", tt.method, tt.role, tt.workspaces, err, who)
		}
		if who != nil && (who.Role != tt.role || who.Holds("acme") != true || who.Holds("globex") != who.all) {
			t.Errorf("%s as %s of %q: called by %v", tt.method, tt.role, tt.workspaces, who)
		}
	}
	if through, err := call(t.Context(), gate, catalog, &authv1.GetCatalogRequest{}); through || fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("the catalog without a token: through %v, %v", through, err)
	}
}

func TestIdentityHoldsForItsWorkspaces(t *testing.T) {
	w := newWorld(t)
	some, all := w.expectAccepted(t, w.token(t, Checker, "acme")), w.expectAccepted(t, w.token(t, Checker, AllWorkspaces))
	for workspace, want := range map[string]bool{"acme": true, "globex": false, "": false, "_unattributed": false, "*": false} {
		if some.Holds(workspace) != want || !all.Holds(workspace) {
			t.Errorf("%q: a token for acme holds: %v, one for all: %v", workspace, some.Holds(workspace), all.Holds(workspace))
		}
	}
}

func TestHandlerOfAnOpenRPCKnowsNobody(t *testing.T) {
	gate := NewGate(newWorld(t).verifier)
	must(t, gate.Protect(map[string]grpc.ServiceInfo{"grpc.health.v1.Health": {Methods: []grpc.MethodInfo{{Name: "Check"}}}}))
	_, err := gate.Unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/grpc.health.v1.Health/Check"}, func(ctx context.Context, _ any) (any, error) {
		if who, ok := FromContext(ctx); ok || who != nil {
			t.Errorf("called by %v", who)
		}
		return nil, nil
	})
	must(t, err)
}

func TestRefusalsHaveReasonsAndMetadata(t *testing.T) {
	const list = authv1.KeyService_ListKeys_FullMethodName
	w := newWorld(t)
	gate := w.gate(t)
	viewer, checker := "Bearer "+w.token(t, Viewer, "acme"), "Bearer "+w.token(t, Checker, "acme")
	long := strings.Repeat("x", 1<<20)
	for name, tt := range map[string]struct {
		method, workspace string
		headers           []string
		reason            fault.Reason
		metadata          map[string]string
	}{
		"no token":             {list, "acme", nil, fault.TokenMissing, nil},
		"two tokens":           {list, "acme", []string{viewer, viewer}, fault.TokenInvalid, nil},
		"another scheme":       {list, "acme", []string{"Basic x"}, fault.TokenInvalid, nil},
		"no JWT":               {list, "acme", []string{"Bearer x"}, fault.TokenInvalid, nil},
		"another role":         {list, "acme", []string{checker}, fault.RoleMissing, map[string]string{"role": "viewer", "token_role": "checker"}},
		"another workspace":    {list, "globex", []string{viewer}, fault.WorkspaceForbidden, map[string]string{"workspace_id": "globex"}},
		"a very long one":      {list, long, []string{viewer}, fault.WorkspaceForbidden, map[string]string{"workspace_id": long[:70]}},
		"no workspace":         {list, "", []string{viewer}, fault.WorkspaceForbidden, nil},
		"a method without any": {"/a/B", "acme", []string{viewer}, fault.MethodForbidden, nil},
	} {
		_, err := call(t.Context(), gate, tt.method, &authv1.ListKeysRequest{WorkspaceId: tt.workspace}, tt.headers...)
		if f, _ := errors.AsType[*fault.Error](err); f == nil || f.Reason != tt.reason || !maps.Equal(f.Metadata, tt.metadata) {
			t.Errorf("%s: refused with %.200v, want %v %.200v", name, err, tt.reason, tt.metadata)
		}
	}
}

func TestRPCThatNamesNoWorkspaceIsForTokensOfAll(t *testing.T) {
	w := newWorld(t)
	gate := w.gate(t)
	gate.rules["/a/B"] = &rule{role: Viewer}
	for workspace, want := range map[string]bool{"acme": false, AllWorkspaces: true} {
		if through, err := call(t.Context(), gate, "/a/B", &authv1.ListKeysRequest{WorkspaceId: "acme"}, "Bearer "+w.token(t, Viewer, workspace)); through != want {
			t.Errorf("with %q: through %v, %v", workspace, through, err)
		}
	}
}

func TestPathsLeadToStrings(t *testing.T) {
	record := (&logsv1.RecordRequestLogsRequest{}).ProtoReflect().Descriptor()
	for path, good := range map[string]bool{
		"": true, "records.request_log.workspace_id": true, "records": false, "records.from_report": false, "records.request_log": false,
		"records.request_log.nothing": false, "records.from_report.workspace_id": false, "records.request_log.workspace_id.x": false, ".": false,
	} {
		if _, err := pathOf(record, path); (err == nil) != good {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestMinterSendsTheRoleThatTheCallNeeds(t *testing.T) {
	w := newWorld(t)
	minter := NewMinter(w.signer, w.now)
	first, err := minter.token(Ingester)
	must(t, err)
	if identity := w.expectAccepted(t, first.text.Reveal()); identity.Role != Ingester || !identity.Holds("acme") {
		t.Errorf("made a token of %v", identity)
	}
	w.pass(mintedFor/2 - time.Second)
	if again, err := minter.token(Ingester); err != nil || again.text.Reveal() != first.text.Reveal() {
		t.Errorf("a new token before its time, %v", err)
	}
	w.pass(time.Second)
	renewed, err := minter.token(Ingester)
	if err != nil || renewed.text.Reveal() == first.text.Reveal() {
		t.Errorf("the token is not renewed, %v", err)
	}
	w.pass(mintedFor/2 - time.Second)
	w.expectAccepted(t, first.text.Reveal())
	w.pass(2 * time.Second)
	w.expectRefused(t, first.text.Reveal(), "expired")
	w.expectAccepted(t, renewed.text.Reveal())
	if other, err := minter.token(Viewer); err != nil || w.expectAccepted(t, other.text.Reveal()).Role != Viewer {
		t.Errorf("made %v", err)
	}
}

// BenchmarkGate is what a check pays for access control, with a token that has been seen before.
func BenchmarkGate(b *testing.B) {
	for name, workspaces := range map[string][]string{"all": {AllWorkspaces}, "some": {"globex", "acme"}} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b)
			gate := w.gate(b)
			ctx := metadata.NewIncomingContext(b.Context(), metadata.Pairs("authorization", "Bearer "+w.token(b, Checker, workspaces...)))
			info := &grpc.UnaryServerInfo{FullMethod: authv1.CheckService_Check_FullMethodName}
			request := &authv1.CheckRequest{WorkspaceId: "acme"}
			next := func(context.Context, any) (any, error) { return nil, nil }
			b.ReportAllocs()
			for b.Loop() {
				if _, err := gate.Unary(ctx, request, info, next); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkVerify is what a token costs that has not been seen before.
func BenchmarkVerify(b *testing.B) {
	w := newWorld(b)
	token := w.token(b, Checker, AllWorkspaces)
	b.ReportAllocs()
	for b.Loop() {
		clear(w.verifier.seen.known)
		if _, err := w.verifier.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
