package main

import (
	"fmt"
	"strings"

	_ "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// accessRule is the method option that names the role that an RPC needs.
const accessRule = "keytrail.access.v1.rule"

// contract is what the descriptors say that the plugin's documents leave out.
type contract struct {
	files *protoregistry.Files
	// access is the option of accessRule.
	access protoreflect.ExtensionType
	// methods are the RPCs, by the operation id that the plugin gives them: Service_Method.
	methods map[string]protoreflect.MethodDescriptor
	// jsonNames are the names of fields that JSON spells otherwise, by their names in the contract.
	jsonNames map[string]string
}

// readContract reads a set of file descriptors.
func readContract(image []byte) (*contract, error) {
	files, err := readFiles(image, protoregistry.GlobalTypes)
	if err != nil {
		return nil, err
	}
	// The options that the contract defines are known only now, so that it is read once more.
	own := dynamicpb.NewTypes(files)
	if files, err = readFiles(image, resolver{own}); err != nil {
		return nil, err
	}
	access, err := own.FindExtensionByName(accessRule)
	if err != nil {
		return nil, fmt.Errorf("find the option %s: %w", accessRule, err)
	}
	c := &contract{files: files, access: access, methods: map[string]protoreflect.MethodDescriptor{}, jsonNames: map[string]string{}}
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if strings.HasPrefix(string(file.Package()), "keytrail.") {
			c.add(file)
		}
		return true
	})
	return c, nil
}

func (c *contract) add(file protoreflect.FileDescriptor) {
	for i := range file.Services().Len() {
		service := file.Services().Get(i)
		for j := range service.Methods().Len() {
			method := service.Methods().Get(j)
			c.methods[string(service.Name()+"_"+method.Name())] = method
		}
	}
	for i := range file.Messages().Len() {
		for field := range fields(file.Messages().Get(i)) {
			if name := string(field.Name()); name != field.JSONName() {
				c.jsonNames[name] = field.JSONName()
			}
		}
	}
}

// role returns the role that an RPC needs, as tokens spell it; "any" if every role will do.
func (c *contract) role(method protoreflect.MethodDescriptor) string {
	rule := proto.GetExtension(method.Options(), c.access).(proto.Message).ProtoReflect()
	field := rule.Descriptor().Fields().ByName("role")
	value := field.Enum().Values().ByNumber(rule.Get(field).Enum())
	return strings.ToLower(strings.TrimPrefix(string(value.Name()), "ROLE_"))
}

// fields iterates over the fields of a message, in their order in the contract.
func fields(message protoreflect.MessageDescriptor) func(yield func(protoreflect.FieldDescriptor) bool) {
	return func(yield func(protoreflect.FieldDescriptor) bool) {
		for i := range message.Fields().Len() {
			if !yield(message.Fields().Get(i)) {
				return
			}
		}
	}
}

// behaves reports whether a field is marked with a google.api.field_behavior.
func behaves(field protoreflect.FieldDescriptor, behavior annotations.FieldBehavior) bool {
	marks, _ := proto.GetExtension(field.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	for _, mark := range marks {
		if mark == behavior {
			return true
		}
	}
	return false
}

func readFiles(image []byte, known extensionResolver) (*protoregistry.Files, error) {
	var set descriptorpb.FileDescriptorSet
	if err := (proto.UnmarshalOptions{Resolver: known}).Unmarshal(image, &set); err != nil {
		return nil, fmt.Errorf("not a set of file descriptors: %w", err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return nil, fmt.Errorf("not a set of file descriptors: %w", err)
	}
	return files, nil
}

// extensionResolver finds the types of options.
type extensionResolver interface {
	FindExtensionByName(protoreflect.FullName) (protoreflect.ExtensionType, error)
	FindExtensionByNumber(protoreflect.FullName, protoreflect.FieldNumber) (protoreflect.ExtensionType, error)
}

// resolver prefers the options that are linked into this program, which have Go types, to the contract's own.
type resolver struct{ own extensionResolver }

// FindExtensionByName returns an option's type.
func (r resolver) FindExtensionByName(name protoreflect.FullName) (protoreflect.ExtensionType, error) {
	if found, err := protoregistry.GlobalTypes.FindExtensionByName(name); err == nil {
		return found, nil
	}
	return r.own.FindExtensionByName(name)
}

// FindExtensionByNumber returns an option's type.
func (r resolver) FindExtensionByNumber(message protoreflect.FullName, number protoreflect.FieldNumber) (protoreflect.ExtensionType, error) {
	if found, err := protoregistry.GlobalTypes.FindExtensionByNumber(message, number); err == nil {
		return found, nil
	}
	return r.own.FindExtensionByNumber(message, number)
}
