package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// compile reads the descriptors of a file of the contract, or of the sample with one more rule.
func compile(t *testing.T, file, rule string) *contract {
	t.Helper()
	source := map[string]string{"sample.proto": strings.Replace(sample, "%RULE%", rule, 1)}
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(protocompile.CompositeResolver{
			&protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(source)},
			&protocompile.SourceResolver{ImportPaths: []string{"../../proto", "../../third_party/proto"}},
		}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	compiled, err := compiler.Compile(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	set := &descriptorpb.FileDescriptorSet{}
	addFile(set, compiled[0], map[string]bool{})
	image, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	c, err := readContract(image)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// addFile adds a file to set, after those that it imports.
func addFile(set *descriptorpb.FileDescriptorSet, file protoreflect.FileDescriptor, seen map[string]bool) {
	if seen[file.Path()] {
		return
	}
	seen[file.Path()] = true
	for i := range file.Imports().Len() {
		addFile(set, file.Imports().Get(i).FileDescriptor, seen)
	}
	set.File = append(set.File, protoutil.ProtoFromFileDescriptor(file))
}

// buildSample makes the document of the sample; change may change what the plugin wrote.
func buildSample(t *testing.T, rule string, change func(plugin object)) (object, error) {
	t.Helper()
	var plugin object
	if err := json.Unmarshal([]byte(samplePlugin), &plugin); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(plugin)
	}
	return build(compile(t, "sample.proto", rule), []object{plugin}, nil, sampleUnset())
}

// sampleUnset are the fields of the sample's responses that may be unset.
func sampleUnset() map[protoreflect.FullName]bool {
	return map[protoreflect.FullName]bool{"keytrail.sample.v1.Key.latency_ms": true, "keytrail.sample.v1.Key.time": true}
}

// expect compares a part of a document, named by a path of keys, with JSON.
func expect(t *testing.T, document object, path, want string) {
	t.Helper()
	var wanted any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	keys := strings.Split(path, " ")
	parent, last := at(document, keys[:len(keys)-1]...), keys[len(keys)-1]
	got, err := json.Marshal(parent[last])
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(wanted)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(text) {
		t.Errorf("%s is\n%s, want\n%s", path, got, text)
	}
}

func TestRulesOfInputAreOnRequestsOnly(t *testing.T) {
	document, err := buildSample(t, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	const response, input, patch = "components schemas Key ", "components schemas KeyInput ", "components schemas KeyPatch "
	for path, want := range map[string]string{
		response + "required":                           `["id","name","scopes","metadata","keyCount","parts","ownerId","last"]`,
		response + "properties id":                      `{"type":"string","description":"The id."}`,
		response + "properties name":                    `{"type":"string","description":"The name."}`,
		response + "properties scopes":                  `{"type":"array","items":{"type":"string"},"description":"The scopes."}`,
		response + "properties metadata":                `{"type":"object","additionalProperties":{"type":"string"},"description":"The metadata."}`,
		response + "properties keyCount":                `{"type":"string","format":"int64","pattern":"^-?[0-9]+$","description":"The count."}`,
		response + "properties latencyMs":               `{"type":"number","format":"double","description":"The latency."}`,
		response + "properties time":                    `{"type":"string","format":"date-time","description":"When."}`,
		response + "properties ownerId":                 `{"type":"string","description":"The owner."}`,
		response + "properties parts":                   `{"type":"array","items":{"$ref":"#/components/schemas/Part"},"description":"The parts."}`,
		"components schemas CreateKeyResponse required": `["key","madeTime"]`,
		input + "required":                              `["name","scopes"]`,
		input + "description":                           `"The key to make."`,
		input + "properties id":                         `null`,
		input + "properties name": `{"type":"string","maxLength":9,"minLength":1,"pattern":"^[a-z]*$",
			"description":"The name. At most 9 bytes in UTF-8."}`,
		input + "properties scopes": `{"type":"array","maxItems":2,"minItems":1,"uniqueItems":true,
			"items":{"type":"string","minLength":1,"maxLength":3},"description":"The scopes."}`,
		input + "properties metadata": `{"type":"object","maxProperties":2,"propertyNames":{"pattern":"^k$"},
			"additionalProperties":{"type":"string","maxLength":4},"description":"The metadata."}`,
		input + "properties latencyMs":          `{"type":"number","format":"double","minimum":0,"maximum":1,"description":"The latency."}`,
		input + "properties ownerId":            `{"type":"string","format":"uuid","description":"The owner."}`,
		input + "properties parts":              `{"type":"array","items":{"$ref":"#/components/schemas/PartInput"},"description":"The parts."}`,
		patch + "required":                      `null`,
		patch + "properties name":               `{"type":"string","maxLength":9,"pattern":"^[a-z]*$","description":"The name. At most 9 bytes in UTF-8."}`,
		"components schemas PartInput required": `["name"]`,
		"components schemas PartPatch required": `null`,
		"components schemas RotateKeyRequest": `{"type":"object","description":"RotateKeyRequest asks.","properties":{"gracePeriod":
			{"type":"string","pattern":"^[0-9]+(\\.[0-9]{1,9})?s$","description":"How long. From 0s to 3600s."}}}`,
	} {
		expect(t, document, path, want)
	}
}

func TestOperationsAreDescribedAsAClientNeedsThem(t *testing.T) {
	document, err := buildSample(t, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	const create, update, rotate = "paths /v1/{workspaceId}/keys post ", "paths /v1/{workspaceId}/keys patch ", "paths /v1/{workspaceId}/keys:rotate post "
	for path, want := range map[string]string{
		create + "operationId": `"createKey"`,
		create + "tags":        `["Keys"]`,
		create + "summary":     `"Makes a key"`,
		create + "description": `"Its ` + "`workspaceId`" + ` exists.\n\n- One.\n- Two, ` + "`RequestLog.keyCount`" + `.\n\nRule: pageSize: must be odd.\n\nNeeds a token of the role ` + "`admin`" + `."`,
		update + "description": `"Rule: pageSize: must be odd.\n\nNeeds a token of any role."`,
		create + "parameters": `[
			{"name":"workspaceId","in":"path","required":true,"schema":{"type":"string","pattern":"^[a-z]+$"},"description":"The workspace."},
			{"name":"pageSize","in":"query","schema":{"type":"integer","format":"int32","minimum":0,"exclusiveMaximum":9},"description":"A size."},
			{"name":"state","in":"query","schema":{"type":"string","enum":["on","off"]},"description":"A state."}]`,
		create + "requestBody": `{"required":true,"content":{"application/json":{"schema":{"$ref":"#/components/schemas/KeyInput"}}}}`,
		update + "requestBody": `{"required":true,"content":{"application/json":{"schema":{"$ref":"#/components/schemas/KeyPatch"}}}}`,
		rotate + "requestBody": `{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/RotateKeyRequest"}}}}`,
		create + "responses 200": `{"description":"CreateKeyResponse answers.",
			"content":{"application/json":{"schema":{"$ref":"#/components/schemas/CreateKeyResponse"}}}}`,
		create + "responses 409": `{"$ref":"#/components/responses/Conflict"}`,
		create + "responses 413": `{"$ref":"#/components/responses/RequestEntityTooLarge"}`,
		create + "responses 404": `null`,
		rotate + "responses 404": `{"$ref":"#/components/responses/NotFound"}`,
		"security":               `[{"bearer":[]}]`,
		"openapi":                `"3.1.0"`,
	} {
		expect(t, document, path, want)
	}
}

func TestWhatCannotBeDescribedIsAnError(t *testing.T) {
	operation := func(plugin object, path, verb string) object { return at(plugin, "paths", path, verb) }
	for name, tt := range map[string]struct {
		rule   string
		change func(plugin object)
		want   string
	}{
		"an unknown rule":     {rule: `[(buf.validate.field).string.email = true]`, want: "keytrail.sample.v1.Key.last: the rule email is unknown"},
		"a rule in CEL":       {rule: `[(buf.validate.field).cel_expression = "true"]`, want: "Key.last: a CEL expression"},
		"an unknown RPC":      {change: func(p object) { operation(p, "/v1/{workspace_id}/keys", "post")["operationId"] = "X_Y" }, want: "no RPC X_Y"},
		"no schema of a body": {change: func(p object) { delete(at(p, "components", "schemas"), "keytrail.sample.v1.Key") }, want: "no schema of keytrail.sample.v1.Key"},
		"an unknown schema":   {change: func(p object) { delete(at(p, "components", "schemas"), "keytrail.sample.v1.Part") }, want: "no schema of keytrail.sample.v1.Part"},
		"an unknown parameter": {
			change: func(p object) {
				operation(p, "/v1/{workspace_id}/keys", "post")["parameters"] = list{object{"name": "other", "schema": object{}}}
			}, want: "the parameter other is no field",
		},
	} {
		if _, err := buildSample(t, tt.rule, tt.change); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func TestFieldsThatMayBeUnsetAreListed(t *testing.T) {
	var plugin object
	if err := json.Unmarshal([]byte(samplePlugin), &plugin); err != nil {
		t.Fatal(err)
	}
	const key = "keytrail.sample.v1.Key."
	for name, tt := range map[string]struct {
		list, unlist protoreflect.FullName
		want         string
	}{
		"an optional one that is not":  {unlist: key + "latency_ms", want: key + "latency_ms is optional, or one of several: add it"},
		"no field":                     {list: key + "late", want: key + "late, which is no field of a response"},
		"no message":                   {list: "keytrail.sample.v1.Other.time", want: "Other.time, which is no field of a response"},
		"one of a request alone":       {list: "keytrail.sample.v1.RotateKeyRequest.grace_period", want: "grace_period, which is no field of a response"},
		"one that is always there":     {list: key + "name", want: key + "name, which is no field of a response that can be unset"},
		"a message that is not listed": {unlist: key + "time", want: ""},
	} {
		unset := sampleUnset()
		if tt.list != "" {
			unset[tt.list] = true
		}
		delete(unset, tt.unlist)
		_, err := build(compile(t, "sample.proto", ""), []object{plugin}, nil, unset)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func TestExamplesAreOfParametersThatExist(t *testing.T) {
	var plugin object
	if err := json.Unmarshal([]byte(samplePlugin), &plugin); err != nil {
		t.Fatal(err)
	}
	given := examples{"createKey": {Parameters: object{"pageSize": 3}}}
	document, err := build(compile(t, "sample.proto", ""), []object{plugin}, given, sampleUnset())
	if err != nil {
		t.Fatal(err)
	}
	if got := at(document, "paths", "/v1/{workspaceId}/keys", "post")["parameters"].(list)[1].(object)["example"]; got != 3 {
		t.Errorf("the example is %v", got)
	}
	given["createKey"].Parameters["other"] = 1
	if _, err := build(compile(t, "sample.proto", ""), []object{plugin}, given, sampleUnset()); err == nil || !strings.Contains(err.Error(), "createKey has 1 of 2 parameters") {
		t.Errorf("of one that does not exist: %v", err)
	}
}

func TestFieldRulesInWordsAreNotes(t *testing.T) {
	document, err := buildSample(t, `[(buf.validate.field).cel = {id: "c" message: "must be even" expression: "true"}]`, nil)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, document, "components schemas KeyInput properties last", `{"type":"string","description":"The last. Rule: must be even."}`)
	expect(t, document, "components schemas Key properties last", `{"type":"string","description":"The last."}`)
}

func TestSchemasOfOneNameAreAnError(t *testing.T) {
	c := compile(t, "sample.proto", "")
	s := &schemas{contract: c, plugin: object{}, made: object{}, from: map[string]origin{}}
	key, part := c.methods["KeyService_CreateKey"].Output(), c.methods["KeyService_RotateKey"].Input()
	if _, err := s.add("Key", key, object{}, request); err != nil {
		t.Fatal(err)
	}
	for name, add := range map[string]func() (object, error){
		"of another message": func() (object, error) { return s.add("Key", part, object{}, request) },
		"of another side":    func() (object, error) { return s.add("Key", key, object{}, patch) },
	} {
		if _, err := add(); err == nil || !strings.Contains(err.Error(), "would both have the schema Key") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.add("Key", key, object{}, request); err != nil {
		t.Errorf("the same again: %v", err)
	}
}

func TestVocabulariesAreOfFields(t *testing.T) {
	known := map[protoreflect.FullName]bool{}
	for _, file := range []string{"keytrail/auth/v1/key_service.proto", "keytrail/auth/v1/check_service.proto", "keytrail/logs/v1/log_service.proto"} {
		c := compile(t, file, "")
		for name := range vocabularies {
			if _, err := c.files.FindDescriptorByName(name); err == nil {
				known[name] = true
			}
		}
	}
	if len(known) != len(vocabularies) {
		t.Errorf("%d of %d fields are of the contract: %v", len(known), len(vocabularies), known)
	}
}
