package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// published is the document that is in the repository.
func published(t *testing.T) (object, *jsonschema.Compiler) {
	t.Helper()
	text, err := os.ReadFile("../../gen/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	if err := compiler.AddResource("openapi.json", document); err != nil {
		t.Fatal(err)
	}
	return document.(object), compiler
}

// schemaAt compiles the schema that a JSON pointer names.
func schemaAt(t *testing.T, compiler *jsonschema.Compiler, keys ...string) *jsonschema.Schema {
	t.Helper()
	pointer := "openapi.json#"
	for _, key := range keys {
		pointer += "/" + strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
	}
	schema, err := compiler.Compile(pointer)
	if err != nil {
		t.Fatalf("%s is no schema of JSON Schema 2020-12: %v", pointer, err)
	}
	return schema
}

func TestSchemasAreJSONSchema(t *testing.T) {
	document, compiler := published(t)
	schemas := at(document, "components", "schemas")
	if len(schemas) < 20 {
		t.Fatalf("only %d schemas", len(schemas))
	}
	for name := range schemas {
		schemaAt(t, compiler, "components", "schemas", name)
	}
	for path, verb := range operations(document) {
		parameters, _ := at(document, "paths", path, verb)["parameters"].(list)
		for i := range parameters {
			schemaAt(t, compiler, "paths", path, verb, "parameters", fmt.Sprint(i), "schema")
		}
	}
}

// operations iterates over the operations of a document, by path and verb.
func operations(document object) func(yield func(path, verb string) bool) {
	return func(yield func(path, verb string) bool) {
		for path, verbs := range at(document, "paths") {
			for verb := range verbs.(object) {
				if !yield(path, verb) {
					return
				}
			}
		}
	}
}

func TestExamplesAreValid(t *testing.T) {
	document, compiler := published(t)
	validate := func(what string, of ...string) {
		content := at(document, of...)
		schema := schemaAt(t, compiler, append(of, "schema")...)
		values := map[string]any{}
		if one, ok := content["example"]; ok {
			values["example"] = one
		}
		for name, example := range at(content, "examples") {
			values[name] = example.(object)["value"]
		}
		for name, value := range values {
			if err := schema.Validate(value); err != nil {
				t.Errorf("%s, example %s: %v", what, name, err)
			}
		}
	}
	for path, verb := range operations(document) {
		parameters, _ := at(document, "paths", path, verb)["parameters"].(list)
		for i, each := range parameters {
			if example, ok := each.(object)["example"]; ok {
				if err := schemaAt(t, compiler, "paths", path, verb, "parameters", fmt.Sprint(i), "schema").Validate(example); err != nil {
					t.Errorf("%s %s, parameter %d: %v", verb, path, i, err)
				}
			}
		}
		if at(document, "paths", path, verb, "requestBody") != nil {
			validate(verb+" "+path, "paths", path, verb, "requestBody", "content", "application/json")
		}
		for media := range at(document, "paths", path, verb, "responses", "200", "content") {
			validate(verb+" "+path, "paths", path, verb, "responses", "200", "content", media)
		}
	}
	for name := range at(document, "components", "responses") {
		validate(name, "components", "responses", name, "content", "application/json")
	}
	for _, id := range []string{"allowed", "denied"} {
		if at(document, "paths", "/v1/check", "post", "responses", "200", "content", "application/json", "examples", id) == nil {
			t.Errorf("check has no example %s", id)
		}
	}
}

// TestSchemasRefuse shows that the schemas say something.
func TestSchemasRefuse(t *testing.T) {
	_, compiler := published(t)
	const info = `{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"R","domain":"d","metadata":{}}`
	for _, tt := range []struct {
		schema, value string
		valid         bool
	}{
		{"KeyInput", `{"name":"n","scopes":["agent"],"allAgents":true}`, true},
		{"KeyInput", `{"scopes":["agent"]}`, false},
		{"KeyInput", `{"name":"","scopes":["agent"]}`, false},
		{"KeyInput", `{"name":"a\u0000","scopes":["agent"]}`, false},
		{"KeyInput", `{"name":"a\u200b","scopes":["agent"]}`, false},
		{"KeyInput", `{"name":"n","scopes":["Agent"]}`, false},
		{"KeyInput", `{"name":"n","scopes":["agent","agent"]}`, false},
		{"KeyInput", `{"name":"n","scopes":["of_a_later_release"]}`, true},
		{"KeyInput", `{"name":"n","scopes":["agent"],"metadata":{"a b":"c"}}`, false},
		{"KeyPatch", `{"disabled":true}`, true},
		{"CheckRequest", `{"agentType":"agent","callId":"x"}`, false},
		{"Outcome", `{"reportToken":"t","status":99}`, false},
		{"RotateKeyRequest", `{"gracePeriod":"-1s"}`, false},
		{"PurgeRequestLogsResponse", `{"purgedCount":"12","complete":true}`, true},
		{"PurgeRequestLogsResponse", `{"purgedCount":12,"complete":true}`, false},
		{"PurgeRequestLogsResponse", `{"purgedCount":"12"}`, false},
		{"Secret", `{"last4":"abcd","createTime":"2026-10-29T09:30:00.125Z"}`, true},
		{"Secret", `{"last4":"abcd"}`, false},
		{"Secret", `{"last4":"abcd","createTime":"2026-10-29T09:30:00.125Z","expireTime":null}`, false},
		{"GetKeyResponse", `{}`, false},
		{"TimeRange", `{"startTime":"2026-10-29T09:30:00Z"}`, false},
		{"Status", `{"code":5,"message":"m","details":[` + info + `]}`, true},
		{"Status", `{"code":5,"message":"m","details":[]}`, false},
		{"Status", `{"code":5,"message":"m","details":[` + info + `,{"@type":"type.googleapis.com/google.rpc.RetryInfo"}]}`, false},
		{"Status", `{"code":5,"message":"m","details":[` + info + `,{"@type":"type.googleapis.com/google.rpc.Help","links":[]}]}`, true},
	} {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(tt.value))
		if err != nil {
			t.Fatal(err)
		}
		if err := schemaAt(t, compiler, "components", "schemas", tt.schema).Validate(value); (err == nil) != tt.valid {
			t.Errorf("%s %s: %v", tt.schema, tt.value, err)
		}
	}
}

func TestOperationsAreComplete(t *testing.T) {
	document, _ := published(t)
	ids := map[string]bool{}
	for path, verb := range operations(document) {
		operation := at(document, "paths", path, verb)
		id, _ := operation["operationId"].(string)
		if !regexp.MustCompile(`^[a-z]+([A-Z][a-z]+)*$`).MatchString(id) || ids[id] {
			t.Errorf("%s %s has the operation id %q", verb, path, id)
		}
		ids[id] = true
		for _, key := range []string{"tags", "summary", "description"} {
			if operation[key] == nil || operation[key] == "" {
				t.Errorf("%s has no %s", id, key)
			}
		}
		for _, status := range []string{"200", "401", "403", "503", "504", "default"} {
			if at(operation, "responses", status) == nil {
				t.Errorf("%s has no response %s", id, status)
			}
		}
	}
	if len(ids) != len(particular) {
		t.Errorf("%d operations, but error statuses of %d RPCs", len(ids), len(particular))
	}
}

// TestUpdateMaskIsDescribed: it is the one parameter that is not just a value.
func TestUpdateMaskIsDescribed(t *testing.T) {
	document, _ := published(t)
	for _, each := range at(document, "paths", "/v1/workspaces/{workspaceId}/keys/{keyId}", "patch")["parameters"].(list) {
		parameter := each.(object)
		if parameter["name"] != "updateMask" {
			continue
		}
		description := parameter["description"].(string)
		if !strings.Contains(description, "separated by commas") || strings.Contains(description, "JSON spells") || parameter["example"] != "expireTime" {
			t.Errorf("updateMask: %v", parameter)
		}
		return
	}
	t.Error("updateKey has no updateMask")
}

func TestReferencesResolve(t *testing.T) {
	document, _ := published(t)
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	refs := regexp.MustCompile(`"\$ref":"#/([^"]+)"`).FindAllSubmatch(text, -1)
	if len(refs) < 50 {
		t.Errorf("only %d references", len(refs))
	}
	for _, ref := range refs {
		if at(document, strings.Split(string(ref[1]), "/")...) == nil {
			t.Errorf("%s names nothing", ref[0])
		}
	}
}

func TestResponsesStayOpen(t *testing.T) {
	document, _ := published(t)
	for name, schema := range at(document, "components", "schemas") {
		if schema.(object)["additionalProperties"] == false {
			t.Errorf("%s may have no more fields: those of a later release would break clients", name)
		}
	}
}
