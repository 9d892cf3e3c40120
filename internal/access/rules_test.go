package access

import (
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	accessv1 "github.com/keytrail/keytrail/gen/keytrail/access/v1"
)

// watchRules returns the rules of a service with one streaming RPC.
func watchRules(t *testing.T, option *accessv1.Rule, clientStreams bool) (map[string]*rule, error) {
	t.Helper()
	options := &descriptorpb.MethodOptions{}
	proto.SetExtension(options, accessv1.E_Rule, option)
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("keytrail/access/test.proto"), Package: proto.String("keytrail.access.test"), Syntax: proto.String("proto3"),
		Dependency: []string{"keytrail/logs/v1/log_service.proto", "keytrail/logs/v1/request_log.proto"},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: proto.String("WatchService"), Method: []*descriptorpb.MethodDescriptorProto{{
			Name: proto.String("Watch"), InputType: proto.String(".keytrail.logs.v1.ListRequestLogsRequest"),
			OutputType: proto.String(".keytrail.logs.v1.RequestLog"), ClientStreaming: proto.Bool(clientStreams), ServerStreaming: proto.Bool(true),
			Options: options,
		}}}},
	}, protoregistry.GlobalFiles)
	must(t, err)
	files := &protoregistry.Files{}
	must(t, files.RegisterFile(file))
	return rulesOf(files, map[string]grpc.ServiceInfo{"keytrail.access.test.WatchService": {Methods: []grpc.MethodInfo{{Name: "Watch"}}}})
}

func TestRuleHasAWorkspaceFieldOrAnyWorkspace(t *testing.T) {
	for name, tt := range map[string]struct {
		rule          *accessv1.Rule
		clientStreams bool
		says          string // empty: it is valid
	}{
		"a field":                               {&accessv1.Rule{Role: accessv1.Role_ROLE_ANY, WorkspaceField: "workspace_id"}, false, ""},
		"any":                                   {&accessv1.Rule{Role: accessv1.Role_ROLE_ANY, AnyWorkspace: true}, false, ""},
		"neither":                               {&accessv1.Rule{Role: accessv1.Role_ROLE_VIEWER}, false, ""},
		"both":                                  {&accessv1.Rule{Role: accessv1.Role_ROLE_ANY, WorkspaceField: "workspace_id", AnyWorkspace: true}, false, "one of them"},
		"a stream of requests":                  {&accessv1.Rule{Role: accessv1.Role_ROLE_ANY, WorkspaceField: "workspace_id"}, true, "any_workspace"},
		"a stream of requests of any workspace": {&accessv1.Rule{Role: accessv1.Role_ROLE_ANY, AnyWorkspace: true}, true, ""},
		"no role":                               {&accessv1.Rule{AnyWorkspace: true}, false, "which role"},
		"a role to come":                        {&accessv1.Rule{Role: 99, AnyWorkspace: true}, false, "which role"},
	} {
		_, err := watchRules(t, tt.rule, tt.clientStreams)
		if (err == nil) != (tt.says == "") || err != nil && (!strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "WatchService.Watch")) {
			t.Errorf("%s: %v, want %q", name, err, tt.says)
		}
	}
}
