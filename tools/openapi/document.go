package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// tags are the names of services for people, in the order of the document.
var tags = []struct{ service, name string }{
	{"CheckService", "Checks"}, {"KeyService", "Keys"}, {"LogService", "Request Logs"}, {"SessionService", "Session"},
}

// particular are the error statuses of single RPCs, beside those that follow from what a request is made of. Every RPC
// with a REST path is here.
var particular = map[protoreflect.Name][]int{
	"Check":            nil,
	"Report":           nil,
	"CreateKey":        {http.StatusConflict, http.StatusTooManyRequests, http.StatusInternalServerError},
	"GetKey":           {http.StatusNotFound, http.StatusInternalServerError},
	"ListKeys":         {http.StatusInternalServerError},
	"UpdateKey":        {http.StatusNotFound, http.StatusConflict, http.StatusTooManyRequests, http.StatusInternalServerError},
	"AddKeyAgents":     {http.StatusNotFound, http.StatusTooManyRequests, http.StatusInternalServerError},
	"RemoveKeyAgents":  {http.StatusNotFound, http.StatusInternalServerError},
	"RotateKey":        {http.StatusNotFound, http.StatusConflict, http.StatusInternalServerError},
	"DeleteKey":        {http.StatusNotFound, http.StatusConflict, http.StatusInternalServerError},
	"GetCatalog":       nil,
	"ListRequestLogs":  {http.StatusTooManyRequests, http.StatusInternalServerError},
	"GetRequestLog":    {http.StatusNotFound, http.StatusTooManyRequests, http.StatusInternalServerError},
	"PurgeRequestLogs": {http.StatusInternalServerError},
	"GetSession":       nil,

	"TailRequestLogs":      {http.StatusTooManyRequests},
	"ExportRequestLogs":    {http.StatusInternalServerError},
	"SummarizeRequestLogs": {http.StatusTooManyRequests, http.StatusInternalServerError},
	"ListLogKeys":          {http.StatusTooManyRequests, http.StatusInternalServerError},
}

// stream is one form of the response of a streaming RPC.
type stream struct {
	media, prose string
	// line returns the message that each line is, of that of the RPC; nil = the form is not JSON.
	line func(protoreflect.MessageDescriptor) protoreflect.MessageDescriptor
}

// streamed are the forms of the responses of streaming RPCs.
var streamed = map[protoreflect.Name][]stream{
	"TailRequestLogs": {
		{"application/x-ndjson", "Each line is a message. If the stream fails, the last line is `{\"error\":…}`.", messages},
		{"text/event-stream", "The data of each event is a message, as a line of `application/x-ndjson`, and its id a resume token. " +
			"If the stream fails, the last event is of the type `error`.", nil},
	},
	"ExportRequestLogs": {
		{"application/x-ndjson", "Each line is a row; the last line is `{\"row_count\":N,\"complete\":true}`. In between, " +
			"`{\"unreadable_range\":…}` is a time whose rows cannot be read. If the export fails, the last line is " +
			"`{\"error\":…,\"resume_token\":\"…\"}`, and the connection is broken off.", rows},
		{"text/csv", "A header with the names of the fields, then a row a line, and as the last line `# rows=N`. In between, " +
			"`# unreadable=START/END` is a time whose rows cannot be read. If the export fails, the last lines are `# error=…` " +
			"and `# resume_token=…`, and the connection is broken off. A cell that begins with `=`, `+`, `-`, `@`, their " +
			"full-width forms, tab, CR, LF or `'` has one more `'` at its beginning.", nil},
	},
}

func messages(message protoreflect.MessageDescriptor) protoreflect.MessageDescriptor { return message }

// rows are the rows of a message with rows.
func rows(message protoreflect.MessageDescriptor) protoreflect.MessageDescriptor {
	return message.Fields().ByName("request_logs").Message()
}

// build makes the document from the plugin's and the contract. unset are the fields of responses that may be unset.
func build(c *contract, plugin []object, examples examples, unset map[protoreflect.FullName]bool) (object, error) {
	s := &schemas{
		contract: c, plugin: object{}, made: errorSchemas(), unset: unset,
		from: map[string]origin{}, answers: map[protoreflect.FullName]bool{},
		services: map[string]protoreflect.ServiceDescriptor{},
	}
	for name := range s.made {
		s.from[name] = origin{message: "google.rpc." + protoreflect.FullName(name)}
	}
	for _, document := range plugin {
		maps.Copy(s.plugin, at(document, "components", "schemas"))
	}
	if err := eachOperation(c, plugin, func(_, _ string, method protoreflect.MethodDescriptor, _ object) error {
		reached(method.Output(), s.answers)
		service := method.Parent().(protoreflect.ServiceDescriptor)
		s.services[string(service.Name())] = service
		return nil
	}); err != nil {
		return nil, err
	}
	if err := s.expectUnset(); err != nil {
		return nil, err
	}
	paths := object{}
	if err := eachOperation(c, plugin, func(path, verb string, method protoreflect.MethodDescriptor, operation object) error {
		made, err := s.operation(verb, method, operation)
		if err != nil {
			return fmt.Errorf("%s: %w", method.FullName(), err)
		}
		path = s.path(path)
		if paths[path] == nil {
			paths[path] = object{}
		}
		paths[path].(object)[verb] = made
		return nil
	}); err != nil {
		return nil, err
	}
	if err := examples.addTo(paths); err != nil {
		return nil, err
	}
	return s.document(paths), nil
}

// document puts the parts together.
func (s *schemas) document(paths object) object {
	var named list
	for _, tag := range tags {
		if service := s.services[tag.service]; service != nil {
			named = append(named, object{"name": tag.name, "description": s.contract.prose(service)})
		}
	}
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Keytrail", "version": "v1",
			"description": "May this call go through, and what happened to it? Access to AI agents by API key, and a request log for every call.\n\n" +
				"Every field of a response is written out, empty ones included; only those that are not required may be missing, where they " +
				"are unset. No field is null. A later release may add fields to responses, and words to vocabularies that " +
				"are not enumerations: ignore what you do not know. Fields of requests that the service does not know are refused.",
			"license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers":  list{object{"url": "/", "description": "The gateway that serves this document."}},
		"security": list{object{"bearer": list{}}},
		"tags":     named,
		"paths":    paths,
		"components": object{
			"securitySchemes": object{"bearer": object{
				"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
				"description": "A token that carries a role and workspaces. Each operation names the role that it needs; `admin` may do what `viewer` may.",
			}},
			"responses": errorResponses(),
			"schemas":   s.made,
		},
	}
}

// eachOperation calls do for every operation of the plugin's documents.
func eachOperation(c *contract, plugin []object, do func(path, verb string, method protoreflect.MethodDescriptor, operation object) error) error {
	for _, document := range plugin {
		paths := at(document, "paths")
		for _, path := range slices.Sorted(maps.Keys(paths)) {
			verbs := paths[path].(object)
			for _, verb := range slices.Sorted(maps.Keys(verbs)) {
				operation := verbs[verb].(object)
				id, _ := operation["operationId"].(string)
				method, ok := c.methods[id]
				if !ok {
					return fmt.Errorf("%s %s: the contract has no RPC %s", verb, path, id)
				}
				if err := do(path, verb, method, operation); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// at returns the object that is found in document by a path of keys; nil if there is none.
func at(document object, keys ...string) object {
	for _, key := range keys {
		document, _ = document[key].(object)
	}
	return document
}

// path spells the parameters of a path as JSON spells fields.
func (s *schemas) path(path string) string {
	for name, json := range s.contract.jsonNames {
		path = strings.ReplaceAll(path, "{"+name+"}", "{"+json+"}")
	}
	return path
}

// operation makes the operation of an RPC from that of the plugin.
func (s *schemas) operation(verb string, method protoreflect.MethodDescriptor, plugin object) (object, error) {
	name := string(method.Name())
	made := object{"operationId": strings.ToLower(name[:1]) + name[1:]}
	for _, tag := range tags {
		if tag.service == string(method.Parent().Name()) {
			made["tags"] = list{tag.name}
		}
	}
	if made["tags"] == nil {
		return nil, fmt.Errorf("its service has no tag")
	}
	s.describe(made, method)
	parameters, err := s.parameters(method.Input(), plugin)
	if err != nil {
		return nil, err
	}
	if len(parameters) > 0 {
		made["parameters"] = parameters
	}
	if body := at(plugin, "requestBody", "content", "application/json", "schema"); body != nil {
		if made["requestBody"], err = s.body(verb, method, body); err != nil {
			return nil, err
		}
	}
	made["responses"], err = s.responses(method, made["requestBody"] != nil)
	return made, err
}

// describe writes what an RPC does, and what it asks of a caller.
func (s *schemas) describe(made object, method protoreflect.MethodDescriptor) {
	summary, description := summarize(s.contract.prose(method))
	rules, _ := proto.GetExtension(method.Input().Options(), validate.E_Message).(*validate.MessageRules)
	for _, rule := range rules.GetCel() {
		description += "\n\nRule: " + s.contract.jsonWords(rule.GetMessage()) + "."
	}
	role := "the role `" + s.contract.role(method) + "`"
	if role == "the role `any`" {
		role = "any role"
	}
	made["summary"], made["description"] = summary, strings.TrimSpace(description+"\n\nNeeds a token of "+role+".")
}

// parameters are those of path and query.
func (s *schemas) parameters(message protoreflect.MessageDescriptor, plugin object) (list, error) {
	var made list
	parameters, _ := plugin["parameters"].(list)
	for _, each := range parameters {
		parameter := clone(each).(object)
		name := parameter["name"].(string)
		field := message.Fields().ByJSONName(name)
		if field == nil {
			field = message.Fields().ByName(protoreflect.Name(name))
		}
		if field == nil {
			return nil, fmt.Errorf("the parameter %s is no field of its request", name)
		}
		schema, err := s.property(parameter["schema"].(object), field, request)
		if err != nil {
			return nil, err
		}
		if field.Message() != nil && field.Message().FullName() == "google.protobuf.FieldMask" {
			note(schema, "Several fields are separated by commas.")
		}
		parameter["name"], parameter["description"], parameter["schema"] = field.JSONName(), schema["description"], schema
		delete(schema, "description")
		if behaves(field, annotations.FieldBehavior_REQUIRED) {
			parameter["required"] = true
		}
		made = append(made, parameter)
	}
	return made, nil
}

// content is the response of an RPC that succeeds, by media type.
func (s *schemas) content(method protoreflect.MethodDescriptor) (object, error) {
	forms := []stream{{media: "application/json", line: messages}}
	if method.IsStreamingServer() {
		if forms = streamed[method.Name()]; forms == nil {
			return nil, fmt.Errorf("the forms of its stream are not known: add it to streamed")
		}
	}
	content := object{}
	for _, form := range forms {
		schema := object{"type": "string"}
		if form.line != nil {
			ref, err := s.ref(form.line(method.Output()), response)
			if err != nil {
				return nil, err
			}
			schema = maps.Clone(ref)
		}
		if form.prose != "" {
			schema["description"] = form.prose
		}
		content[form.media] = object{"schema": schema}
	}
	return content, nil
}

// body makes the request body: the request itself, or the field of it that the contract names.
func (s *schemas) body(verb string, method protoreflect.MethodDescriptor, plugin object) (object, error) {
	where := request
	if verb == "patch" {
		where = patch
	}
	rule, _ := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
	field := method.Input().Fields().ByName(protoreflect.Name(rule.GetBody()))
	if field == nil { // "*"
		ref, err := s.add(string(method.Input().Name()), method.Input(), plugin, where)
		return bodyOf(ref, s.named(ref)["required"] != nil), err
	}
	ref, err := s.ref(field.Message(), where)
	if err != nil {
		return nil, err
	}
	s.named(ref)["description"] = s.contract.prose(field)
	return bodyOf(ref, behaves(field, annotations.FieldBehavior_REQUIRED)), nil
}

func bodyOf(schema object, required bool) object {
	body := object{"content": object{"application/json": object{"schema": schema}}}
	if required {
		body["required"] = true
	}
	return body
}

// named returns the schema that a reference names; nil if there is none.
func (s *schemas) named(ref object) object {
	name, _ := ref["$ref"].(string)
	schema, _ := s.made[strings.TrimPrefix(name, "#/components/schemas/")].(object)
	return schema
}

// responses are the answer and the errors of an RPC.
func (s *schemas) responses(method protoreflect.MethodDescriptor, body bool) (object, error) {
	statuses, ok := particular[method.Name()]
	if !ok {
		return nil, fmt.Errorf("its error statuses are not known: add it to particular")
	}
	statuses = append(slices.Clone(statuses), http.StatusUnauthorized, http.StatusForbidden, http.StatusServiceUnavailable, http.StatusGatewayTimeout)
	if method.Input().Fields().Len() > 0 {
		statuses = append(statuses, http.StatusBadRequest)
	}
	if body {
		statuses = append(statuses, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge)
	}
	content, err := s.content(method)
	if err != nil {
		return nil, err
	}
	made := object{
		"200":     object{"description": s.contract.prose(method.Output()), "content": content},
		"default": object{"$ref": "#/components/responses/Error"},
	}
	for _, f := range failures {
		if slices.Contains(statuses, f.status) {
			made[strconv.Itoa(f.status)] = object{"$ref": "#/components/responses/" + f.name()}
		}
	}
	return made, nil
}
