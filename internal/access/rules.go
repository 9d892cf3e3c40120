package access

import (
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"

	accessv1 "github.com/keytrail/keytrail/gen/keytrail/access/v1"
)

// foreignRules are the rules of the RPCs that are not in Keytrail's contract. The names of Envoy's are written here, because its
// packages would add megabytes to every program that verifies tokens.
var foreignRules = map[string]*rule{
	grpc_health_v1.Health_Check_FullMethodName:                                   {open: true},
	grpc_health_v1.Health_List_FullMethodName:                                    {role: anyRole, anyWorkspace: true},
	grpc_health_v1.Health_Watch_FullMethodName:                                   {role: anyRole, anyWorkspace: true, stream: true},
	grpc_reflection_v1.ServerReflection_ServerReflectionInfo_FullMethodName:      {role: anyRole, anyWorkspace: true, stream: true},
	grpc_reflection_v1alpha.ServerReflection_ServerReflectionInfo_FullMethodName: {role: anyRole, anyWorkspace: true, stream: true},

	"/envoy.service.auth.v3.Authorization/Check":                    {role: Checker, anyWorkspace: true},
	"/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs": {role: Checker, anyWorkspace: true, stream: true},
}

// rule is what one RPC requires of its callers.
type rule struct {
	// open means that no token is required.
	open bool
	role Role
	// request is the message that names the workspaces, and path leads to them; nil = it names none.
	request protoreflect.FullName
	path    []protoreflect.FieldDescriptor
	// field is the path as the contract writes it.
	field string
	// anyWorkspace means that the handler compares the workspaces of the token.
	anyWorkspace bool
	stream       bool
}

// rulesOf returns the rule of every RPC of a server, by its full method name. An RPC without one is an error.
func rulesOf(files protodesc.Resolver, services map[string]grpc.ServiceInfo) (map[string]*rule, error) {
	rules := map[string]*rule{}
	for service, info := range services {
		for _, method := range info.Methods {
			name := "/" + service + "/" + method.Name
			found, err := ruleOf(files, name)
			if err != nil {
				return nil, err
			}
			rules[name] = found
		}
	}
	return rules, nil
}

// ruleOf returns the rule of an RPC by its full method name, /package.Service/Method.
func ruleOf(files protodesc.Resolver, method string) (*rule, error) {
	if foreign, ok := foreignRules[method]; ok {
		return foreign, nil
	}
	name := strings.ReplaceAll(strings.TrimPrefix(method, "/"), "/", ".")
	found, err := files.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return nil, fmt.Errorf("%s is not in the contract: no rule says who may call it", name)
	}
	rpc, ok := found.(protoreflect.MethodDescriptor)
	if !ok {
		return nil, fmt.Errorf("%s is not an RPC", name)
	}
	options, _ := proto.GetExtension(rpc.Options(), accessv1.E_Rule).(*accessv1.Rule)
	role := Role(strings.ToLower(strings.TrimPrefix(options.GetRole().String(), "ROLE_"))) // as tokens spell it
	if !role.Valid() && role != anyRole {
		return nil, fmt.Errorf("%s does not say which role may call it: it needs the option (keytrail.access.v1.rule)", name)
	}
	path, err := pathOf(rpc.Input(), options.GetWorkspaceField())
	if err != nil {
		return nil, fmt.Errorf("the workspace_field of %s: %w", name, err)
	}
	if options.GetAnyWorkspace() && path != nil {
		return nil, fmt.Errorf("%s has a workspace_field and any_workspace: its rule must have one of them at most", name)
	}
	if rpc.IsStreamingClient() && !options.GetAnyWorkspace() {
		// Its handler could send before a request has named a workspace.
		return nil, fmt.Errorf("%s streams requests: its rule must have any_workspace", name)
	}
	return &rule{
		role: role, request: rpc.Input().FullName(), path: path, field: options.GetWorkspaceField(), anyWorkspace: options.GetAnyWorkspace(),
		stream: rpc.IsStreamingClient() || rpc.IsStreamingServer(),
	}, nil
}

// pathOf returns the fields of a path; nil for the empty path.
func pathOf(message protoreflect.MessageDescriptor, path string) ([]protoreflect.FieldDescriptor, error) {
	if path == "" {
		return nil, nil
	}
	var fields []protoreflect.FieldDescriptor
	for name := range strings.SplitSeq(path, ".") {
		if message == nil {
			return nil, fmt.Errorf("%q leads through a field that is not a message", path)
		}
		field := message.Fields().ByName(protoreflect.Name(name))
		if field == nil || field.IsMap() {
			return nil, fmt.Errorf("%s has no field %q, or it is a map", message.FullName(), name)
		}
		fields, message = append(fields, field), field.Message()
	}
	if fields[len(fields)-1].Kind() != protoreflect.StringKind {
		return nil, fmt.Errorf("%q does not lead to a string", path)
	}
	return fields, nil
}

// workspaces calls yield with every workspace that a request names, until it returns false. A missing element of the
// path names the empty workspace.
func workspaces(message protoreflect.Message, path []protoreflect.FieldDescriptor, yield func(string) bool) bool {
	field, rest := path[0], path[1:]
	value := message.Get(field)
	if !field.IsList() {
		return follow(value, rest, yield)
	}
	for i := range value.List().Len() {
		if !follow(value.List().Get(i), rest, yield) {
			return false
		}
	}
	return true
}

func follow(value protoreflect.Value, rest []protoreflect.FieldDescriptor, yield func(string) bool) bool {
	if len(rest) == 0 {
		return yield(value.String())
	}
	return workspaces(value.Message(), rest, yield)
}
