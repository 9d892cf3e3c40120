package gateway

import (
	"io"
	"maps"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/fault"
)

func TestWhatARouteIgnoresIsRefused(t *testing.T) {
	handler, services := newGateway(t)
	const keys = "/v1/workspaces/acme/keys"
	const key = keys + "/" + keyID
	for request, tt := range map[string]struct{ body, says string }{
		"POST " + key + ":rotate?requestId=" + keyID:             {`{}`, "requestId: unknown query parameter; the fields of this request are in its body"},
		"POST " + key + ":rotate?request_id=" + keyID:            {``, "request_id: "},
		"POST " + key + ":addAgents?agentIds=a":                  {`{"agentIds":["a"]}`, "agentIds: "},
		"POST /v1/check?callId=" + keyID:                         {`{"agentType":"agent"}`, "callId: "},
		"POST /v1/report?x=1":                                    {`{"outcomes":[]}`, "x: "},
		"POST /v1/workspaces/acme/request-logs:purge?dryRun=1":   {`{}`, "dryRun: "},
		"GET " + key + "?bogus=1":                                {``, "bogus: unknown query parameter"},
		"GET /v1/workspaces/acme/request-logs/" + keyID + "?a=1": {``, "a: "},
		"GET /v1/catalog?x=1":                                    {``, "x: "},
		"GET /v1/catalog?b=1&a=2":                                {``, "a: "},
		"GET /v1/catalog?=1":                                     {``, "=1: "},
		"GET /v1/catalog?%FF=1":                                  {``, "\uFFFD: "},
		"GET /v1/catalog?%zz":                                    {``, "the query is malformed"},
		"GET /v1/catalog?a;b":                                    {``, "the query is malformed"},
		"DELETE " + key:                                          {`{"etag":"9"}`, "DELETE has no body here"},
		"DELETE " + key + "?etag=9":                              {`{}`, "DELETE has no body here"},
		"GET " + key:                                             {`{}`, "GET has no body here"},
		"GET " + keys:                                            {`{"pageSize":1}`, "GET has no body here"},
		// What the path or the body of the same request has.
		"DELETE " + key + "?keyId=x":             {``, "keyId: not a query parameter"},
		"GET " + keys + "?workspace_id=globex":   {``, "workspace_id: not a query parameter"},
		"POST " + keys + "?key.name=n":           {`{"name":"m","scopes":["agent"],"allAgents":true}`, "key.name: not a query parameter"},
		"PATCH " + key + "?key.expireTime=never": {`{"name":"m"}`, "key.expireTime: not a query parameter"},
	} {
		method, path, _ := strings.Cut(request, " ")
		expectError(t, send(handler, method, path, tt.body), 400, fault.RequestMalformed, tt.says)
		if got := services.received(); got != nil {
			t.Errorf("%s: the service received %v", request, got)
		}
	}
}

func TestBodyOfUnknownLengthIsRefused(t *testing.T) {
	handler, services := newGateway(t)
	for _, method := range []string{"GET", "DELETE"} {
		request := httptest.NewRequest(method, "/v1/workspaces/acme/keys/"+keyID, io.MultiReader(strings.NewReader(`{}`)))
		response := serve(handler, request)
		expectError(t, response, 400, fault.RequestMalformed, method+" has no body here")
		if services.received() != nil {
			t.Errorf("%s: the service received it", method)
		}
	}
}

// TestRoutesAreKnown: an unknown route accepts neither a query nor a body.
func TestRoutesAreKnown(t *testing.T) {
	read, err := readRoutes()
	must(t, err)
	const workspace = "/v1/workspaces/{workspace_id=*}"
	type takes struct{ query, body bool }
	want := map[string]takes{
		"POST /v1/check":                                        {false, true},
		"POST /v1/report":                                       {false, true},
		"GET /v1/catalog":                                       {false, false},
		"GET /v1/session":                                       {true, false},
		"POST " + workspace + "/keys":                           {true, true},
		"GET " + workspace + "/keys":                            {true, false},
		"GET " + workspace + "/keys/{key_id=*}":                 {false, false},
		"PATCH " + workspace + "/keys/{key_id=*}":               {true, true},
		"DELETE " + workspace + "/keys/{key_id=*}":              {true, false},
		"POST " + workspace + "/keys/{key_id=*}:addAgents":      {false, true},
		"POST " + workspace + "/keys/{key_id=*}:removeAgents":   {false, true},
		"POST " + workspace + "/keys/{key_id=*}:rotate":         {false, true},
		"GET " + workspace + "/request-logs":                    {true, false},
		"GET " + workspace + "/request-logs/{request_log_id=*}": {false, false},
		"GET " + workspace + "/request-logs:tail":               {true, false},
		"GET " + workspace + "/request-logs:export":             {true, false},
		"GET " + workspace + "/request-logs:summary":            {true, false},
		"GET " + workspace + "/request-logs:keys":               {true, false},
		"POST " + workspace + "/request-logs:purge":             {false, true},
	}
	got := map[string]takes{}
	for name, route := range read {
		got[name] = takes{route.query, route.body}
	}
	if !maps.Equal(got, want) {
		t.Errorf("the routes are %v, want %v", got, want)
	}
}

func TestRouteOfAnUnknownFormIsAnError(t *testing.T) {
	for name, rule := range map[string]*annotations.HttpRule{
		"a template in a field": {Pattern: &annotations.HttpRule_Get{Get: "/v1/{workspace_id=workspaces/*}"}},
		"many segments":         {Pattern: &annotations.HttpRule_Get{Get: "/v1/{workspace_id}/**"}},
		"a method of its own":   {Pattern: &annotations.HttpRule_Custom{Custom: &annotations.CustomHttpPattern{Kind: "HEAD", Path: "/v1"}}},
		"another binding": {
			Pattern:            &annotations.HttpRule_Get{Get: "/v1/keys"},
			AdditionalBindings: []*annotations.HttpRule{{}},
		},
	} {
		file := protodesc.ToFileDescriptorProto(authv1.File_keytrail_auth_v1_key_service_proto)
		options := &descriptorpb.MethodOptions{}
		proto.SetExtension(options, annotations.E_Http, rule)
		file.Service[0].Method[0].Options = options
		made, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
		must(t, err)
		if err := (routes{}).add(made.Services().Get(0).Methods().Get(0)); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestAllowHeaderListsTheMethodsOfThePath(t *testing.T) {
	handler, _ := newGateway(t)
	const keys = "/v1/workspaces/acme/keys"
	for path, want := range map[string]string{
		"/v1/check":                              "POST",
		"/v1/catalog":                            "GET",
		keys:                                     "GET, POST",
		keys + "/" + keyID:                       "DELETE, GET, PATCH",
		keys + "/a%20b":                          "DELETE, GET, PATCH",
		"/v1/workspaces/acme/request-logs:purge": "POST",
		"/openapi.json":                          "GET, HEAD",
	} {
		response := send(handler, "PUT", path, "")
		expectError(t, response, 405, fault.MethodUnknown, "PUT")
		if got := response.Header().Get("Allow"); got != want {
			t.Errorf("%s allows %q, want %q", path, got, want)
		}
	}
	if got := send(handler, "PUT", "/v1/nothing", "").Header().Values("Allow"); got != nil {
		t.Errorf("a path that is not allows %q", got)
	}
}
