package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/keytrail/keytrail/gen"
)

// openAPI validates responses of the gateway against the published document.
type openAPI struct {
	operations []openAPIOperation
	// status is the schema of every error.
	status *jsonschema.Schema

	mu sync.Mutex
	// unseen are the documented responses that were not validated yet, e.g. "createKey 409".
	unseen map[string]bool
}

// openAPIOperation is one operation of the document.
type openAPIOperation struct {
	id, method string
	path       *regexp.Regexp
	// responses are the schemas of the bodies, by status. The response for all other statuses is not one of them: an
	// operation must name the errors that it returns.
	responses map[string]*jsonschema.Schema
}

// published is the document that the gateway serves, read once.
var published = sync.OnceValues(func() (*openAPI, error) { return readOpenAPI(gen.OpenAPI) })

// validateREST fails the test if a response of the gateway does not conform to the OpenAPI document. The path may have
// a query.
func validateREST(t testing.TB, method, path string, status int, header http.Header, body []byte) {
	t.Helper()
	document, err := published()
	if err != nil {
		t.Fatalf("the OpenAPI document: %v", err)
	}
	if err := document.validate(method, path, status, header, body); err != nil {
		t.Errorf("%s %s: %d does not conform to the OpenAPI document: %v\n%s", method, path, status, err, body)
	}
}

// readOpenAPI reads a document.
func readOpenAPI(text []byte) (*openAPI, error) {
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	root, ok := parsed.(map[string]any)
	if !ok {
		return nil, errors.New("not a JSON object")
	}
	// The document allows the fields of later releases. The responses of this release have no others.
	closeSchemas(root)
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	if err := compiler.AddResource("openapi.json", root); err != nil {
		return nil, err
	}
	document := &openAPI{unseen: map[string]bool{}}
	if document.status, err = compiler.Compile("openapi.json#/components/schemas/Status"); err != nil {
		return nil, err
	}
	for path, methods := range jsonAt(root, "paths") {
		for method := range methods.(map[string]any) {
			if err := document.add(compiler, root, path, method); err != nil {
				return nil, fmt.Errorf("%s %s: %w", method, path, err)
			}
		}
	}
	// If two paths match, the longer one applies, because a custom verb is not part of an id.
	slices.SortFunc(document.operations, func(a, b openAPIOperation) int {
		return len(b.path.String()) - len(a.path.String())
	})
	return document, nil
}

var pathParameter = regexp.MustCompile(`\\\{[A-Za-z]+\\\}`)

// add reads one operation.
func (o *openAPI) add(compiler *jsonschema.Compiler, root map[string]any, path, method string) error {
	described := jsonAt(root, "paths", path, method)
	operation := openAPIOperation{method: strings.ToUpper(method), responses: map[string]*jsonschema.Schema{}}
	operation.id, _ = described["operationId"].(string)
	pattern := pathParameter.ReplaceAllString(regexp.QuoteMeta(path), "[^/]+")
	var err error
	if operation.path, err = regexp.Compile("^" + pattern + "$"); err != nil {
		return err
	}
	for status, response := range jsonAt(described, "responses") {
		if status == "default" {
			continue
		}
		pointer := "#/paths/" + strings.ReplaceAll(path, "/", "~1") + "/" + method + "/responses/" + status
		if shared, ok := response.(map[string]any)["$ref"].(string); ok {
			pointer = shared
		}
		media := "application~1json"
		if content := jsonAt(response.(map[string]any), "content"); content != nil && content["application/json"] == nil {
			media = "application~1x-ndjson" // the response of a stream
		}
		schema, err := compiler.Compile("openapi.json" + pointer + "/content/" + media + "/schema")
		if err != nil {
			return err
		}
		operation.responses[status] = schema
		o.unseen[operation.id+" "+status] = true
	}
	o.operations = append(o.operations, operation)
	return nil
}

// validate returns an error if a response does not conform to the document.
func (o *openAPI) validate(method, path string, status int, header http.Header, body []byte) error {
	path, _, _ = strings.Cut(path, "?")
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("the content type is %q: %w", header.Get("Content-Type"), err)
	}
	if kind == "application/x-ndjson" { // its first line stands for all
		body, _, _ = bytes.Cut(body, []byte("\n"))
		if bytes.HasPrefix(body, []byte(`{"row_count":`)) { // an export without rows: the document describes its last line in words
			return nil
		}
	} else if kind != "application/json" {
		return fmt.Errorf("the content type is %q, want application/json", kind)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("the body is not JSON: %w", err)
	}
	found := slices.IndexFunc(o.operations, func(operation openAPIOperation) bool {
		return operation.method == method && operation.path.MatchString(path)
	})
	if found < 0 {
		if status < http.StatusBadRequest {
			return errors.New("there is no such operation")
		}
		return o.status.Validate(value)
	}
	operation := o.operations[found]
	schema, ok := operation.responses[strconv.Itoa(status)]
	if !ok {
		return fmt.Errorf("%s does not document this status", operation.id)
	}
	if err := schema.Validate(value); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.unseen, operation.id+" "+strconv.Itoa(status))
	return nil
}

// notSeen returns the documented responses that were not validated yet.
func (o *openAPI) notSeen() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(maps.Keys(o.unseen))
}

// closeSchemas sets additionalProperties to false in every object schema within value.
func closeSchemas(value any) {
	switch v := value.(type) {
	case map[string]any:
		for _, part := range v {
			closeSchemas(part)
		}
		if _, open := v["additionalProperties"]; v["type"] == "object" && !open {
			v["additionalProperties"] = false
		}
	case []any:
		for _, part := range v {
			closeSchemas(part)
		}
	}
}

// jsonAt returns the object at a path of keys in value, or nil.
func jsonAt(value map[string]any, keys ...string) map[string]any {
	for _, key := range keys {
		value, _ = value[key].(map[string]any)
	}
	return value
}

// Responses for the tests below.
const (
	sampleInfo  = `{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"KEY_NOT_FOUND","domain":"keytrail","metadata":{}}`
	sampleRetry = `{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1s"}`
	sampleKey   = `{"id":"1","workspaceId":"acme","name":"","description":"","externalId":"","metadata":{"a":"b"},"scopes":[],"allAgents":false,` +
		`"agentIds":[],"disabled":false,"last4":"","createTime":"2026-10-29T09:30:00.125Z","updateTime":"2026-10-29T09:30:00.125Z",` +
		`"secrets":[{"last4":"","createTime":"2026-10-29T09:30:00.125Z"}],"etag":""}`
	sampleError = `{"code":5,"message":"key not found","details":[` + sampleInfo + `]}`
)

func TestOpenAPIValidation(t *testing.T) {
	t.Parallel()
	document, err := readOpenAPI(gen.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	const key = "/v1/workspaces/acme/keys/1"
	for name, tt := range map[string]struct {
		method, path string
		status       int
		kind, body   string
		want         string // a part of the error; empty if the response is valid
	}{
		"a key":                {"GET", key, 200, "", `{"key":` + sampleKey + `}`, ""},
		"with a character set": {"GET", key, 200, "application/json; charset=utf-8", `{"key":` + sampleKey + `}`, ""},
		"with a query":         {"GET", "/v1/workspaces/acme/keys?pageSize=1", 200, "", `{"keys":[` + sampleKey + `],"nextPageToken":""}`, ""},
		"an error":             {"GET", key, 404, "", sampleError, ""},
		"an error in time":     {"GET", key, 503, "", strings.Replace(sampleError, sampleInfo, sampleInfo+","+sampleRetry, 1), ""},
		"of a verb":            {"POST", key + ":rotate", 200, "", `{"key":` + sampleKey + `,"secret":"sk_"}`, ""},
		"an empty response":    {"DELETE", key, 200, "", `{}`, ""},
		"no such path":         {"GET", "/v1/nowhere", 404, "", sampleError, ""},
		"a wrong verb":         {"PUT", key, 405, "", sampleError, ""},

		"a field too many":            {"GET", key, 200, "", `{"key":` + strings.Replace(sampleKey, `"name"`, `"other":1,"name"`, 1) + `}`, "'other' not allowed"},
		"a field too many at the top": {"DELETE", key, 200, "", `{"key":{}}`, "'key' not allowed"},
		"a field too few":             {"GET", key, 200, "", `{"key":` + strings.Replace(sampleKey, `"name":"",`, ``, 1) + `}`, "missing property 'name'"},
		"a time too few":              {"GET", key, 200, "", `{"key":` + strings.Replace(sampleKey, `"updateTime":"2026-10-29T09:30:00.125Z",`, ``, 1) + `}`, "missing property 'updateTime'"},
		"no key":                      {"GET", key, 200, "", `{}`, "missing property 'key'"},
		"null":                        {"GET", key, 200, "", `{"key":null}`, "got null, want object"},
		"no time":                     {"GET", key, 200, "", strings.Replace(`{"key":`+sampleKey+`}`, "09:30", "9:30", 1), "date-time"},
		"a number as text":            {"POST", "/v1/workspaces/acme/request-logs:purge", 200, "", `{"purgedCount":1,"complete":true}`, "got number, want string"},
		"the body of another":         {"GET", "/v1/catalog", 200, "", `{"key":` + sampleKey + `}`, "missing properties"},
		"an undocumented status":      {"GET", key, 418, "", sampleError, "getKey does not document this status"},
		"of no operation":             {"GET", "/v1/nowhere", 200, "", `{}`, "no such operation"},
		"an error without its reason": {"GET", key, 404, "", `{"code":5,"message":"m","details":[]}`, "contains"},
		"of no operation, no error":   {"GET", "/v1/nowhere", 404, "", `{}`, "missing properties"},
		"an unknown detail":           {"GET", key, 404, "", strings.Replace(sampleError, sampleInfo, sampleInfo+`,{"@type":"x","y":1}`, 1), "'y' not allowed"},
		"half a detail":               {"GET", key, 503, "", strings.Replace(sampleError, sampleInfo, sampleInfo+`,{"@type":"type.googleapis.com/google.rpc.RetryInfo"}`, 1), "retryDelay"},
		"text":                        {"GET", key, 404, "text/plain", sampleError, "content type"},
		"no JSON":                     {"GET", key, 404, "", `{`, "not JSON"},
		"two values":                  {"GET", key, 404, "", sampleError + `{}`, "not JSON"},
	} {
		kind := tt.kind
		if kind == "" {
			kind = "application/json"
		}
		err := document.validate(tt.method, tt.path, tt.status, http.Header{"Content-Type": {kind}}, []byte(tt.body))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func TestOpenAPIRecordsSeenResponses(t *testing.T) {
	t.Parallel()
	document, err := readOpenAPI(gen.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	const path = "/v1/workspaces/acme/keys/1"
	before := document.notSeen()
	if !slices.Contains(before, "getKey 404") || !slices.Contains(before, "getKey 200") || slices.Contains(before, "getKey default") {
		t.Errorf("unseen: %v", before)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	if document.validate("GET", path, 404, header, []byte(`{}`)) == nil || len(document.notSeen()) != len(before) {
		t.Error("an invalid response was recorded")
	}
	for range 2 {
		if err := document.validate("GET", path, 404, header, []byte(sampleError)); err != nil {
			t.Fatal(err)
		}
	}
	if after := document.notSeen(); len(after) != len(before)-1 || slices.Contains(after, "getKey 404") {
		t.Errorf("still unseen: %v", after)
	}
}
