package main

import (
	"fmt"
	"maps"
	"regexp"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// schemas makes the schemas of the document from those of the plugin.
type schemas struct {
	contract *contract
	// plugin are the plugin's schemas, by the full names of messages.
	plugin object
	// made are the schemas of the document, by name, and of what each was made.
	made object
	from map[string]origin
	// answers are the messages that responses hold. Of those a request has a schema of its own.
	answers map[protoreflect.FullName]bool
	// unset are the fields of answers that may be unset.
	unset map[protoreflect.FullName]bool
	// services are the services that have operations, by name.
	services map[string]protoreflect.ServiceDescriptor
}

// origin is of what a schema was made.
type origin struct {
	message protoreflect.FullName
	where   side
}

// side is where a message is found, and what is asked of it there.
type side struct {
	// suffix is added to the name of a schema that has another on the other side.
	suffix string
	// input: the rules hold, and what only the service sets is left out. Otherwise the message is a response.
	input bool
	// partial: of an input nothing is required.
	partial bool
}

var (
	response = side{}
	request  = side{suffix: "Input", input: true}
	patch    = side{suffix: "Patch", input: true, partial: true}
)

// ref returns a reference to the schema of a message, which is made if this is the first one.
func (s *schemas) ref(message protoreflect.MessageDescriptor, where side) (object, error) {
	plugin, ok := s.plugin[string(message.FullName())].(object)
	if !ok {
		return nil, fmt.Errorf("the plugin has no schema of %s", message.FullName())
	}
	name := string(message.Name())
	if where.input && s.answers[message.FullName()] {
		name += where.suffix
	}
	return s.add(name, message, plugin, where)
}

// add makes a schema of a message, from that of the plugin, and returns a reference to it.
func (s *schemas) add(name string, message protoreflect.MessageDescriptor, plugin object, where side) (object, error) {
	ref := object{"$ref": "#/components/schemas/" + name}
	if from, ok := s.from[name]; ok {
		if from != (origin{message.FullName(), where}) {
			return nil, fmt.Errorf("%s and %s would both have the schema %s", from.message, message.FullName(), name)
		}
		return ref, nil
	}
	schema := object{"type": "object", "description": s.contract.prose(message)}
	s.from[name], s.made[name] = origin{message.FullName(), where}, schema
	return ref, s.fill(schema, message, plugin, where)
}

// fill writes the properties of a message into its schema: those that the plugin has, without the ones of the path.
func (s *schemas) fill(schema object, message protoreflect.MessageDescriptor, plugin object, where side) error {
	properties, required := object{}, list{}
	known, _ := plugin["properties"].(object)
	for field := range fields(message) {
		property, ok := known[field.JSONName()].(object)
		if !ok || where.input && behaves(field, annotations.FieldBehavior_OUTPUT_ONLY) {
			continue
		}
		made, err := s.property(property, field, where)
		if err != nil {
			return err
		}
		properties[field.JSONName()] = made
		if s.requires(field, where) {
			required = append(required, field.JSONName())
		}
	}
	if len(properties) > 0 {
		schema["properties"] = properties
	}
	if len(required) > 0 {
		schema["required"] = required
	}
	return nil
}

// requires reports whether a field is always there: in a response each that is never unset, because JSON is written with
// default values; in a request what the contract says.
func (s *schemas) requires(field protoreflect.FieldDescriptor, where side) bool {
	if where.input {
		return !where.partial && behaves(field, annotations.FieldBehavior_REQUIRED)
	}
	return !s.unset[field.FullName()]
}

// property makes the schema of a field.
func (s *schemas) property(plugin object, field protoreflect.FieldDescriptor, where side) (object, error) {
	schema := clone(plugin).(object)
	delete(schema, "readOnly")
	schema["description"] = s.contract.prose(field)
	value, of := schema, field
	switch {
	case field.IsMap():
		value, of = schema["additionalProperties"].(object), field.MapValue()
	case field.IsList():
		value = schema["items"].(object)
	}
	if words, ok := vocabularies[field.FullName()]; ok {
		value["examples"] = words
	}
	if err := s.value(value, of, where); err != nil || !where.input {
		return schema, err
	}
	if err := constrain(schema, field); err != nil {
		return nil, err
	}
	if s.requires(field, where) {
		fillable(schema, field)
	}
	return schema, nil
}

// value completes the schema of one value of a field.
func (s *schemas) value(schema object, field protoreflect.FieldDescriptor, where side) error {
	message := field.Message()
	switch {
	case field.Kind() == protoreflect.Int64Kind:
		schema["pattern"] = "^-?[0-9]+$"
	case message == nil:
	case message.FullName() == "google.protobuf.Duration":
		schema["pattern"] = `^-?[0-9]+(\.[0-9]{1,9})?s$`
	case strings.HasPrefix(string(message.FullName()), "google.protobuf."):
	default:
		ref, err := s.ref(message, where)
		if err != nil {
			return err
		}
		maps.Copy(schema, ref)
	}
	return nil
}

// fillable says of a required string or list that it must not be empty, unless its rules say so already.
func fillable(schema object, field protoreflect.FieldDescriptor) {
	name := "minLength"
	if field.IsList() {
		name = "minItems"
	} else if field.Kind() != protoreflect.StringKind {
		return
	}
	pattern, _ := schema["pattern"].(string)
	if schema[name] == nil && schema["format"] == nil && regexp.MustCompile(pattern).MatchString("") {
		schema[name] = 1
	}
}

// clone copies a value of a document.
func clone(value any) any {
	switch v := value.(type) {
	case object:
		copied := object{}
		for key, item := range v {
			copied[key] = clone(item)
		}
		return copied
	case list:
		copied := make(list, len(v))
		for i, item := range v {
			copied[i] = clone(item)
		}
		return copied
	}
	return value
}

// reached adds a message to found, with every message of the contract that its fields hold.
func reached(message protoreflect.MessageDescriptor, found map[protoreflect.FullName]bool) {
	if found[message.FullName()] {
		return
	}
	found[message.FullName()] = true
	for field := range fields(message) {
		if field.Message() != nil && !field.IsMap() {
			reached(field.Message(), found)
		}
	}
}
