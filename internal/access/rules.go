package access

import (
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"

	accessv1 "github.com/keytrail/keytrail/gen/keytrail/access/v1"
)

// open are the services that anybody may call: whether the server is well, and what it offers.
var open = map[string]bool{
	"grpc.health.v1.Health":                    true,
	"grpc.reflection.v1.ServerReflection":      true,
	"grpc.reflection.v1alpha.ServerReflection": true,
}

// rule is what one RPC asks of its callers.
type rule struct {
	open bool
	role Role
	// request is the message whose workspaces are asked for, and path leads to them; nil = it names none.
	request protoreflect.FullName
	path    []protoreflect.FieldDescriptor
	// field is the path as the contract writes it.
	field string
	// anyWorkspace says that the workspaces of the token are for the handler to compare.
	anyWorkspace bool
}

// rulesOf reads the rules of every RPC of a server. It is an error where one has none.
func rulesOf(files protodesc.Resolver, services map[string]grpc.ServiceInfo) (map[string]*rule, error) {
	rules := map[string]*rule{}
	for service, info := range services {
		for _, method := range info.Methods {
			name := "/" + service + "/" + method.Name
			if open[service] {
				rules[name] = &rule{open: true}
				continue
			}
			found, err := ruleOf(files, name)
			if err != nil {
				return nil, err
			}
			rules[name] = found
		}
	}
	return rules, nil
}

// ruleOf reads the rule of an RPC, named as gRPC names it: /package.Service/Method.
func ruleOf(files protodesc.Resolver, method string) (*rule, error) {
	name := strings.ReplaceAll(strings.TrimPrefix(method, "/"), "/", ".")
	found, err := files.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return nil, fmt.Errorf("%s is not in the contract: nobody can tell who may call it", name)
	}
	rpc, ok := found.(protoreflect.MethodDescriptor)
	if !ok {
		return nil, fmt.Errorf("%s is no RPC of the contract", name)
	}
	said, _ := proto.GetExtension(rpc.Options(), accessv1.E_Rule).(*accessv1.Rule)
	role := roleOf(said.GetRole())
	if !role.Valid() && role != anyRole {
		return nil, fmt.Errorf("%s does not say which role may call it: it needs the option (keytrail.access.v1.rule)", name)
	}
	path, err := pathOf(rpc.Input(), said.GetWorkspaceField())
	if err != nil {
		return nil, fmt.Errorf("the workspace_field of %s: %w", name, err)
	}
	if said.GetAnyWorkspace() && path != nil {
		return nil, fmt.Errorf("%s has a workspace_field and any_workspace: its rule must have one of them at most", name)
	}
	return &rule{
		role: role, request: rpc.Input().FullName(), path: path, field: said.GetWorkspaceField(), anyWorkspace: said.GetAnyWorkspace(),
	}, nil
}

// pathOf finds the fields of a path; none for the empty path.
func pathOf(message protoreflect.MessageDescriptor, path string) ([]protoreflect.FieldDescriptor, error) {
	if path == "" {
		return nil, nil
	}
	var fields []protoreflect.FieldDescriptor
	for name := range strings.SplitSeq(path, ".") {
		if message == nil {
			return nil, fmt.Errorf("%q leads through a field that is no message", path)
		}
		field := message.Fields().ByName(protoreflect.Name(name))
		if field == nil || field.IsMap() {
			return nil, fmt.Errorf("%s has no field %q that can be followed", message.FullName(), name)
		}
		fields, message = append(fields, field), field.Message()
	}
	if fields[len(fields)-1].Kind() != protoreflect.StringKind {
		return nil, fmt.Errorf("%q does not lead to a string", path)
	}
	return fields, nil
}

// workspaces calls yield with every workspace that a request names, until it answers false. An element of a path that
// is not there names the empty workspace.
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
