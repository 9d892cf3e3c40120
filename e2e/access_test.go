package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/keytrail/keytrail/internal/access"
)

// permission states which callers may call an RPC.
type permission struct {
	roles []access.Role
	// anyWorkspace allows tokens of any workspace.
	anyWorkspace bool
	// allWorkspaces requires a token for all workspaces.
	allWorkspaces bool
}

// permissions repeats the permissions of the contract by hand, to test the contract.
var permissions = map[protoreflect.FullName]permission{
	"keytrail.auth.v1.CheckService.Check":              {[]access.Role{access.Checker}, false, false},
	"keytrail.auth.v1.CheckService.Report":             {[]access.Role{access.Checker}, true, false},
	"keytrail.auth.v1.KeyService.CreateKey":            {[]access.Role{access.Admin}, false, false},
	"keytrail.auth.v1.KeyService.GetKey":               {[]access.Role{access.Viewer, access.Admin}, false, false},
	"keytrail.auth.v1.KeyService.ListKeys":             {[]access.Role{access.Viewer, access.Admin}, false, false},
	"keytrail.auth.v1.KeyService.FindKeys":             {[]access.Role{access.Viewer, access.Admin}, false, false},
	"keytrail.auth.v1.KeyService.UpdateKey":            {[]access.Role{access.Admin}, false, false},
	"keytrail.auth.v1.KeyService.AddKeyAgents":         {[]access.Role{access.Admin}, false, false},
	"keytrail.auth.v1.KeyService.RemoveKeyAgents":      {[]access.Role{access.Admin}, false, false},
	"keytrail.auth.v1.KeyService.GetCatalog":           {access.Roles, true, false},
	"keytrail.auth.v1.KeyService.RotateKey":            {[]access.Role{access.Admin}, false, false},
	"keytrail.auth.v1.KeyService.DeleteKey":            {[]access.Role{access.Admin}, false, false},
	"keytrail.auth.v1.SessionService.GetSession":       {access.Roles, true, false},
	"keytrail.logs.v1.LogService.RecordRequestLogs":    {[]access.Role{access.Ingester}, false, false},
	"keytrail.logs.v1.LogService.ListRequestLogs":      {[]access.Role{access.Viewer, access.Admin}, false, false},
	"keytrail.logs.v1.LogService.GetRequestLog":        {[]access.Role{access.Viewer, access.Admin}, false, false},
	"keytrail.logs.v1.LogService.TailRequestLogs":      {[]access.Role{access.Viewer, access.Admin}, false, false},
	"keytrail.logs.v1.LogService.ExportRequestLogs":    {[]access.Role{access.Viewer, access.Admin}, false, false},
	"keytrail.logs.v1.LogService.SummarizeRequestLogs": {[]access.Role{access.Viewer, access.Admin}, false, false},
	"keytrail.logs.v1.LogService.ListLogKeys":          {[]access.Role{access.Viewer, access.Admin}, false, false},
	"keytrail.logs.v1.LogService.ListLogWorkspaces":    {[]access.Role{access.Viewer, access.Admin}, false, true},
	"keytrail.logs.v1.LogService.PurgeRequestLogs":     {[]access.Role{access.Admin}, false, false},

	"envoy.service.auth.v3.Authorization.Check":                    {[]access.Role{access.Checker}, false, false},
	"envoy.service.accesslog.v3.AccessLogService.StreamAccessLogs": {[]access.Role{access.Checker}, true, false},
}

// foreignServices are the services of Envoy's API that the auth service has.
var foreignServices = []protoreflect.FullName{"envoy.service.auth.v3.Authorization", "envoy.service.accesslog.v3.AccessLogService"}

// rpcs returns all RPCs of the contract, and those of the foreign services.
func rpcs() []protoreflect.MethodDescriptor {
	var all []protoreflect.MethodDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			if strings.HasPrefix(string(service.FullName()), "keytrail.") || slices.Contains(foreignServices, service.FullName()) {
				for j := range service.Methods().Len() {
					all = append(all, service.Methods().Get(j))
				}
			}
		}
		return true
	})
	return all
}

// accessCase is a caller in the workspace acme.
type accessCase struct {
	name  string
	token string
	// answer returns the expected code of an RPC with this permission. OK means that access control passes the call.
	answer func(permission) codes.Code
}

func (s *system) accessCases() []accessCase {
	always := func(code codes.Code) func(permission) codes.Code {
		return func(permission) codes.Code { return code }
	}
	all := []accessCase{{"no token", "", always(codes.Unauthenticated)}}
	for _, role := range access.Roles {
		everywhere := func(p permission) codes.Code {
			if slices.Contains(p.roles, role) {
				return codes.OK
			}
			return codes.PermissionDenied
		}
		inAcme := func(p permission) codes.Code {
			if p.allWorkspaces {
				return codes.PermissionDenied
			}
			return everywhere(p)
		}
		elsewhere := func(p permission) codes.Code {
			if p.anyWorkspace {
				return inAcme(p)
			}
			return codes.PermissionDenied
		}
		expired, err := s.signer.Token(access.Grant{
			Role: role, Workspaces: []string{access.AllWorkspaces}, From: time.Now().Add(-time.Hour), TTL: time.Hour - time.Second,
		})
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all,
			accessCase{string(role) + " of its own workspace", s.token(role, "acme"), inAcme},
			accessCase{string(role) + " of several", s.token(role, "globex", "acme"), inAcme},
			accessCase{string(role) + " of another", s.token(role, "globex"), elsewhere},
			accessCase{string(role) + " of all", s.token(role, access.AllWorkspaces), everywhere},
			accessCase{string(role) + " expired", expired, always(codes.Unauthenticated)})
	}
	return all
}

// TestEveryRPCWithEveryRole calls every RPC with every role and workspace, over gRPC and REST.
func TestEveryRPCWithEveryRole(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	conns := map[protoreflect.FullName]*grpc.ClientConn{
		"keytrail.auth.v1": dial(t, s.server.AuthAddr()), "keytrail.logs.v1": dial(t, s.server.LogsAddr()),
	}
	for _, service := range foreignServices {
		conns[service.Parent()] = conns["keytrail.auth.v1"]
	}
	accessCases, called := s.accessCases(), map[protoreflect.FullName]bool{}
	for _, rpc := range rpcs() {
		permission, known := permissions[rpc.FullName()]
		if !known {
			t.Errorf("no permission is defined for %s", rpc.FullName())
			continue
		}
		called[rpc.FullName()] = true
		request := acmeRequest(rpc.Input(), 0)
		for _, b := range accessCases {
			want := b.answer(permission)
			if got := accessCode(status.Code(callGRPC(t, conns[rpc.ParentFile().Package()], rpc, request, b.token))); got != want {
				t.Errorf("%s by %s: %v, want %v", rpc.FullName(), b.name, got, want)
			}
			for _, route := range routes(rpc) {
				if got := s.callREST(route, request, b.token); got != want {
					t.Errorf("%s %s by %s: %v, want %v", route.verb, route.path, b.name, got, want)
				}
			}
		}
	}
	if len(called) != len(permissions) {
		t.Errorf("called %d of the %d RPCs: %v", len(called), len(permissions), slices.Collect(maps.Keys(called)))
	}
	if strings.Contains(s.logged.String(), tokenPrefix) {
		t.Errorf("a token is logged:\n%s", s.logged)
	}
}

// accessCode returns the result of access control: every code that comes from a handler is OK.
func accessCode(code codes.Code) codes.Code {
	if code == codes.Unauthenticated || code == codes.PermissionDenied {
		return code
	}
	return codes.OK
}

// acmeRequest returns a request with acme in every workspace field.
func acmeRequest(of protoreflect.MessageDescriptor, depth int) *dynamicpb.Message {
	message := dynamicpb.NewMessage(of)
	for i := range of.Fields().Len() {
		field := of.Fields().Get(i)
		switch {
		case field.Name() == "workspace_id":
			message.Set(field, protoreflect.ValueOfString("acme"))
		case field.Name() == "context_extensions":
			for _, name := range []string{"workspace_id", "agent_type", "agent_id"} {
				message.Mutable(field).Map().Set(protoreflect.ValueOfString(name).MapKey(), protoreflect.ValueOfString("acme"))
			}
		case field.Message() == nil || field.IsMap() || depth > 4 || !ours(field.Message().FullName()):
		case field.IsList():
			message.Mutable(field).List().Append(protoreflect.ValueOfMessage(acmeRequest(field.Message(), depth+1)))
		default:
			message.Set(field, protoreflect.ValueOfMessage(acmeRequest(field.Message(), depth+1)))
		}
	}
	return message
}

// ours reports whether requests have a workspace in messages of this name.
func ours(message protoreflect.FullName) bool {
	return strings.HasPrefix(string(message), "keytrail.") || strings.HasPrefix(string(message), "envoy.service.auth.v3.")
}

// callGRPC calls an RPC of any kind. It returns nil after the first response.
func callGRPC(t *testing.T, conn *grpc.ClientConn, rpc protoreflect.MethodDescriptor, request proto.Message, token string) error {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	defer end()
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	kind := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	stream, err := conn.NewStream(ctx, kind, fmt.Sprintf("/%s/%s", rpc.Parent().FullName(), rpc.Name()))
	if err != nil {
		return err
	}
	// If sending fails, RecvMsg returns the error.
	if stream.SendMsg(request) == nil {
		_ = stream.CloseSend()
	}
	return stream.RecvMsg(dynamicpb.NewMessage(rpc.Output()))
}

// route is an HTTP binding of an RPC.
type route struct{ verb, path, body string }

var variable = regexp.MustCompile(`\{(\w+)\}`)

// routes returns the HTTP bindings of an RPC in the contract.
func routes(rpc protoreflect.MethodDescriptor) []route {
	first, ok := proto.GetExtension(rpc.Options(), annotations.E_Http).(*annotations.HttpRule)
	if !ok || first == nil {
		return nil
	}
	var all []route
	for _, rule := range append([]*annotations.HttpRule{first}, first.GetAdditionalBindings()...) {
		all = append(all,
			route{http.MethodGet, rule.GetGet(), rule.GetBody()}, route{http.MethodPost, rule.GetPost(), rule.GetBody()},
			route{http.MethodPut, rule.GetPut(), rule.GetBody()}, route{http.MethodPatch, rule.GetPatch(), rule.GetBody()},
			route{http.MethodDelete, rule.GetDelete(), rule.GetBody()})
	}
	return slices.DeleteFunc(all, func(r route) bool { return r.path == "" })
}

// callREST sends a request to a route and returns the result of access control.
func (s *system) callREST(r route, request *dynamicpb.Message, token string) codes.Code {
	s.t.Helper()
	path := variable.ReplaceAllStringFunc(r.path, func(name string) string {
		if name == "{workspace_id}" {
			return "acme"
		}
		return url.PathEscape("01890a5d-ac96-774b-bcce-b302099a8057")
	})
	var body any
	switch r.body {
	case "":
	case "*":
		body = jsonOf(s.t, request)
	default:
		body = jsonOf(s.t, request.Get(request.Descriptor().Fields().ByName(protoreflect.Name(r.body))).Message().Interface())
	}
	httpStatus, answer := s.restAs(token, r.verb, path, body)
	want := map[int]codes.Code{http.StatusUnauthorized: codes.Unauthenticated, http.StatusForbidden: codes.PermissionDenied}
	if code, refused := want[httpStatus]; refused {
		if answer["code"] != float64(code) || answer["message"] == "" {
			s.t.Errorf("%s %s: HTTP %d with %v", r.verb, path, httpStatus, answer)
		}
		return code
	}
	if httpStatus == http.StatusNotFound && answer["message"] == "Not Found" || httpStatus == http.StatusMethodNotAllowed {
		s.t.Errorf("%s %s is no route: %v", r.verb, path, answer)
	}
	return codes.OK
}

// jsonOf returns a message as JSON.
func jsonOf(t *testing.T, message proto.Message) string {
	t.Helper()
	text, err := protojson.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
