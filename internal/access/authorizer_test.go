package access

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"
	"google.golang.org/protobuf/proto"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/fault"
)

// services returns the services of a server that has all of Keytrail's.
func services() map[string]grpc.ServiceInfo {
	server := grpc.NewServer()
	authv1.RegisterCheckServiceServer(server, authv1.UnimplementedCheckServiceServer{})
	authv1.RegisterKeyServiceServer(server, authv1.UnimplementedKeyServiceServer{})
	logsv1.RegisterLogServiceServer(server, logsv1.UnimplementedLogServiceServer{})
	return server.GetServiceInfo()
}

// authorizer returns the authorizer of a server with all services.
func (f *fixture) authorizer(t testing.TB) *Authorizer {
	t.Helper()
	authorizer := NewAuthorizer(f.verifier)
	must(t, authorizer.ReadRules(services()))
	return authorizer
}

// decide returns nil if a call is allowed.
func decide(ctx context.Context, authorizer *Authorizer, method string, request any, authorization ...string) error {
	ctx, err := authorizer.Authenticate(ctx, method, authorization)
	if err != nil {
		return err
	}
	return Authorize(ctx, request)
}

func TestRPCWithoutARuleIsAnError(t *testing.T) {
	server := grpc.NewServer()
	grpc_testing.RegisterTestServiceServer(server, grpc_testing.UnimplementedTestServiceServer{})
	authorizer := NewAuthorizer(newFixture(t).verifier)
	if err := authorizer.ReadRules(server.GetServiceInfo()); err == nil || !strings.Contains(err.Error(), "grpc.testing.TestService.") {
		t.Errorf("read the rules with %v, want an error that names the RPC", err)
	}
	nowhere := map[string]grpc.ServiceInfo{"no.Such": {Methods: []grpc.MethodInfo{{Name: "Thing"}}}}
	if err := authorizer.ReadRules(nowhere); err == nil || !strings.Contains(err.Error(), "no.Such.Thing") {
		t.Errorf("read the rules with %v, want an error that names the RPC", err)
	}
	message := map[string]grpc.ServiceInfo{"keytrail.logs.v1": {Methods: []grpc.MethodInfo{{Name: "RequestLog"}}}}
	if err := authorizer.ReadRules(message); err == nil || !strings.Contains(err.Error(), "keytrail.logs.v1.RequestLog") {
		t.Errorf("read the rules with %v, want an error that names the message", err)
	}
}

func TestAuthorizerWithoutRulesRefuses(t *testing.T) {
	f := newFixture(t)
	err := decide(t.Context(), NewAuthorizer(f.verifier), authv1.KeyService_ListKeys_FullMethodName, &authv1.ListKeysRequest{},
		"Bearer "+f.token(t, Admin, AllWorkspaces))
	if fault.KindOf(err) != fault.Forbidden {
		t.Errorf("refused with %v", err)
	}
}

func TestCallThatWasNotAuthenticatedIsRefused(t *testing.T) {
	if err := Authorize(t.Context(), &authv1.ListKeysRequest{}); fault.KindOf(err) != fault.Forbidden {
		t.Errorf("refused with %v", err)
	}
}

func TestCallCarriesExactlyOneToken(t *testing.T) {
	f := newFixture(t)
	authorizer, token := f.authorizer(t), f.token(t, Viewer, "acme")
	for name, tt := range map[string]struct {
		headers []string
		says    string // empty = allowed
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
			err := decide(t.Context(), authorizer, authv1.KeyService_ListKeys_FullMethodName, &authv1.ListKeysRequest{WorkspaceId: "acme"}, tt.headers...)
			if (err == nil) != (tt.says == "") {
				t.Fatalf("refused with %v, want %q", err, tt.says)
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

func TestOnlyAdminIncludesAnotherRole(t *testing.T) {
	for _, held := range Roles {
		for _, needed := range Roles {
			if want := held == needed || held == Admin && needed == Viewer; held.covers(needed) != want {
				t.Errorf("%s covers %s: %v", held, needed, !want)
			}
		}
	}
	if Role("").Valid() || Role("unspecified").Valid() || !Admin.Valid() {
		t.Error("an unknown role is valid, or a known one is not")
	}
}

func TestEveryWorkspaceOfARequestIsChecked(t *testing.T) {
	rows := func(workspaces ...string) *logsv1.RecordRequestLogsRequest {
		request := &logsv1.RecordRequestLogsRequest{}
		for _, workspace := range workspaces {
			request.Records = append(request.Records, &logsv1.RequestLogRecord{RequestLog: &logsv1.RequestLog{WorkspaceId: workspace}})
		}
		return request
	}
	const check, record = authv1.CheckService_Check_FullMethodName, logsv1.LogService_RecordRequestLogs_FullMethodName
	const field = "records.request_log.workspace_id"
	f := newFixture(t)
	authorizer := f.authorizer(t)
	for name, tt := range map[string]struct {
		method  string
		role    Role
		request proto.Message
		says    string // empty = allowed
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
		"unattributed rows":               {record, Ingester, rows("_unattributed"), `"_unattributed"`},
		"a record without a row":          {record, Ingester, &logsv1.RecordRequestLogsRequest{Records: []*logsv1.RequestLogRecord{{}}}, field},
		"no rows":                         {record, Ingester, rows(), field},
		"another request than the RPC's":  {check, Checker, &authv1.ListKeysRequest{WorkspaceId: "acme"}, "all workspaces"},
	} {
		t.Run(name, func(t *testing.T) {
			err := decide(t.Context(), authorizer, tt.method, tt.request, "Bearer "+f.token(t, tt.role, "acme", "globex"))
			if (err == nil) != (tt.says == "") {
				t.Fatalf("refused with %v, want %q", err, tt.says)
			}
			if e, _ := errors.AsType[*fault.Error](err); err != nil && (e == nil || e.Reason != fault.WorkspaceForbidden || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("refused with %.200v, want %q", err, tt.says)
			}
			if err := decide(t.Context(), authorizer, tt.method, tt.request, "Bearer "+f.token(t, tt.role, AllWorkspaces)); err != nil {
				t.Errorf("with all workspaces: %v", err)
			}
		})
	}
}

// TestAnyWorkspaceAndAnyRole calls RPCs whose rules have any_workspace and ROLE_ANY; their handlers get the identity of the caller.
func TestAnyWorkspaceAndAnyRole(t *testing.T) {
	const report, catalog = authv1.CheckService_Report_FullMethodName, authv1.KeyService_GetCatalog_FullMethodName
	f := newFixture(t)
	authorizer := f.authorizer(t)
	for _, tt := range []struct {
		method     string
		role       Role
		workspaces []string
		want       fault.Kind // zero = allowed
	}{
		{report, Checker, []string{"acme"}, 0},
		{report, Checker, []string{AllWorkspaces}, 0},
		{report, Viewer, []string{AllWorkspaces}, fault.Forbidden},
		{catalog, Checker, []string{"acme"}, 0},
		{catalog, Ingester, []string{"acme"}, 0},
		{catalog, Viewer, []string{"acme"}, 0},
		{catalog, Admin, []string{"acme"}, 0},
	} {
		ctx, err := authorizer.Authenticate(t.Context(), tt.method, []string{"Bearer " + f.token(t, tt.role, tt.workspaces...)})
		if err == nil {
			err = Authorize(ctx, &authv1.ReportRequest{})
		}
		who, _ := FromContext(ctx)
		if fault.KindOf(err) != tt.want || (who != nil) != (err == nil) {
			t.Errorf("%s as %s of %q: %v, called by %v", tt.method, tt.role, tt.workspaces, err, who)
		}
		if who != nil && (who.Role != tt.role || who.Holds("acme") != true || who.Holds("globex") != who.all) {
			t.Errorf("%s as %s of %q: called by %v", tt.method, tt.role, tt.workspaces, who)
		}
	}
	if err := decide(t.Context(), authorizer, catalog, &authv1.GetCatalogRequest{}); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("the catalog without a token: %v", err)
	}
}

func TestIdentityHoldsForItsWorkspaces(t *testing.T) {
	f := newFixture(t)
	some, all := f.expectAccepted(t, f.token(t, Checker, "acme")), f.expectAccepted(t, f.token(t, Checker, AllWorkspaces))
	for workspace, want := range map[string]bool{"acme": true, "globex": false, "": false, "_unattributed": false, "*": false} {
		if some.Holds(workspace) != want || !all.Holds(workspace) {
			t.Errorf("%q: a token for acme holds: %v, one for all: %v", workspace, some.Holds(workspace), all.Holds(workspace))
		}
	}
}

// TestForeignRPCs: Health/Check is open, and every other RPC that is not in the contract needs a token of any role.
func TestForeignRPCs(t *testing.T) {
	f := newFixture(t)
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	reflection.Register(server)
	authorizer := NewAuthorizer(f.verifier)
	must(t, authorizer.ReadRules(server.GetServiceInfo()))
	for name, info := range server.GetServiceInfo() {
		for _, m := range info.Methods {
			method := "/" + name + "/" + m.Name
			open := method == grpc_health_v1.Health_Check_FullMethodName
			ctx, err := authorizer.Authenticate(t.Context(), method, nil)
			if (err == nil) != open || !open && fault.KindOf(err) != fault.Unauthenticated {
				t.Errorf("%s without a token: %v", method, err)
			}
			if identity, ok := FromContext(ctx); ok || identity != nil {
				t.Errorf("%s without a token: called by %v", method, identity)
			}
			if err := decide(t.Context(), authorizer, method, nil, "Bearer "+f.token(t, Checker, "acme")); err != nil {
				t.Errorf("%s with a token: %v", method, err)
			}
			if needsToken, stream := authorizer.Kind(method); needsToken == open || stream != (m.IsClientStream || m.IsServerStream) {
				t.Errorf("%s needs a token: %v, is a stream: %v", method, needsToken, stream)
			}
		}
	}
	if needsToken, stream := authorizer.Kind("/unknown/Method"); needsToken || stream {
		t.Error("an unknown RPC needs a token or is a stream")
	}
}

func TestRefusalsHaveReasonsAndMetadata(t *testing.T) {
	const list = authv1.KeyService_ListKeys_FullMethodName
	f := newFixture(t)
	authorizer := f.authorizer(t)
	viewer, checker := "Bearer "+f.token(t, Viewer, "acme"), "Bearer "+f.token(t, Checker, "acme")
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
		err := decide(t.Context(), authorizer, tt.method, &authv1.ListKeysRequest{WorkspaceId: tt.workspace}, tt.headers...)
		if e, _ := errors.AsType[*fault.Error](err); e == nil || e.Reason != tt.reason || !maps.Equal(e.Metadata, tt.metadata) {
			t.Errorf("%s: refused with %.200v, want %v %.200v", name, err, tt.reason, tt.metadata)
		}
	}
}

func TestRPCThatNamesNoWorkspaceIsForTokensOfAll(t *testing.T) {
	f := newFixture(t)
	authorizer := f.authorizer(t)
	authorizer.rules["/a/B"] = &rule{role: Viewer}
	for workspace, want := range map[string]bool{"acme": false, AllWorkspaces: true} {
		if err := decide(t.Context(), authorizer, "/a/B", &authv1.ListKeysRequest{WorkspaceId: "acme"}, "Bearer "+f.token(t, Viewer, workspace)); (err == nil) != want {
			t.Errorf("with %q: %v", workspace, err)
		}
	}
}

func TestWorkspaceFieldIsAString(t *testing.T) {
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

// BenchmarkAuthorizer measures a check with a cached token.
func BenchmarkAuthorizer(b *testing.B) {
	for name, workspaces := range map[string][]string{"all": {AllWorkspaces}, "some": {"globex", "acme"}} {
		b.Run(name, func(b *testing.B) {
			f := newFixture(b)
			authorizer, header := f.authorizer(b), []string{"Bearer " + f.token(b, Checker, workspaces...)}
			request := &authv1.CheckRequest{WorkspaceId: "acme"}
			b.ReportAllocs()
			for b.Loop() {
				if err := decide(b.Context(), authorizer, authv1.CheckService_Check_FullMethodName, request, header...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkVerify measures the verification of a token that is not cached.
func BenchmarkVerify(b *testing.B) {
	f := newFixture(b)
	token := f.token(b, Checker, AllWorkspaces)
	b.ReportAllocs()
	for b.Loop() {
		f.verifier.cache.Purge()
		if _, err := f.verifier.Verify(token); err != nil {
			b.Fatal(err)
		}
	}
}
