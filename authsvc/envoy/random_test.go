package envoy

import (
	"context"
	"slices"
	"testing"

	"buf.build/go/protovalidate"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/agentpath"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
)

// texts are values that matter, among others.
var texts = rapid.OneOf(
	rapid.SampledFrom([]string{"", "acme", "globex", "/v1/agents/a1?x", "/w/acme/agents/a", "/w/_/agents/a", "/w/globex/agents/a"}), rapid.String())

// disturb removes, empties or replaces some of the fields of a message. Its draws are in a fixed order.
func disturb(t *rapid.T, message protoreflect.Message) {
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if !message.Has(field) {
			continue
		}
		fate := rapid.IntRange(0, 15).Draw(t, string(field.Name()))
		switch {
		case fate == 0:
			message.Clear(field)
		case field.IsMap():
			disturbMap(t, field.MapValue(), message.Mutable(field).Map())
		case field.IsList():
			for k := range message.Get(field).List().Len() {
				disturb(t, message.Get(field).List().Get(k).Message())
			}
		case fate == 1 && field.Message() != nil:
			message.Set(field, message.NewField(field))
		case field.Message() != nil:
			disturb(t, message.Mutable(field).Message())
		case fate < 4:
			message.Set(field, scalar(t, field))
		}
	}
}

func disturbMap(t *rapid.T, field protoreflect.FieldDescriptor, entries protoreflect.Map) {
	var keys []string
	entries.Range(func(key protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, key.String())
		return true
	})
	slices.Sort(keys)
	for _, name := range keys {
		key := protoreflect.ValueOfString(name).MapKey()
		switch fate := rapid.IntRange(0, 15).Draw(t, name); {
		case fate < 3:
			entries.Clear(key)
		case fate == 3 && field.Message() != nil:
			entries.Set(key, entries.NewValue())
		case field.Message() != nil:
			disturb(t, entries.Get(key).Message())
		case fate < 7:
			entries.Set(key, scalar(t, field))
		}
	}
}

func scalar(t *rapid.T, field protoreflect.FieldDescriptor) protoreflect.Value {
	switch field.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(texts.Draw(t, "text"))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(rapid.Int64().Draw(t, "number"))
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(rapid.Int32().Draw(t, "number"))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(rapid.Uint32().Draw(t, "number"))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(rapid.Float64().Draw(t, "number"))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(t, "bool"))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(rapid.IntRange(0, 20).Draw(t, "enum")))
	}
	panic(field.FullName())
}

// wholeRequest has every field that is read.
const wholeRequest = `{"attributes": {
	"contextExtensions": {"workspace_id": "acme", "agent_type": "agent", "agent_id": "a1"},
	"request": {"http": {"method": "POST", "path": "/w/acme/agents/a1?x", "headers": {"api-key": "sk_x", "x-keytrail-key-id": "1"}}}}}`

// wholeRawRequest is one with encode_raw_headers.
const wholeRawRequest = `{"attributes": {
	"contextExtensions": {"agent_type": "agent"},
	"request": {"http": {"method": "POST", "path": "/w/acme/agents/a1?x", "headerMap": {"headers": [
		{"key": "api-key", "rawValue": "c2s="}, {"key": "x-keytrail-key-id", "rawValue": "MQ=="}]}}}}}`

// wholeMessage has every field that is read.
const wholeMessage = `{"identifier": {"node": {"id": "n"}, "logName": "keytrail"}, "httpLogs": {"logEntry": [
	{"commonProperties": {"duration": "1.5s", "accessLogType": "DownstreamEnd", "metadata": {"filterMetadata": {
		"envoy.filters.http.ext_authz": {"report_token": "t", "ext_authz_duration": 1}}}}, "response": {"responseCode": 200}},
	{"commonProperties": {"duration": "1.5s", "intermediateLogEntry": true, "metadata": {"filterMetadata": {
		"envoy.filters.http.ext_authz": {"report_token": "t", "denied_status": 401}}}}, "response": {"responseCode": 200}}]}}`

// disturbed returns a message from JSON, disturbed.
func disturbed[M proto.Message](t *rapid.T, text string, message M) M {
	if err := protojson.Unmarshal([]byte(text), message); err != nil {
		t.Fatal(err)
	}
	disturb(t, message.ProtoReflect())
	return message
}

// validated is a CheckService that applies the contract's rules.
type validated struct {
	authv1.UnimplementedCheckServiceServer
	t *rapid.T
}

// Check implements the contract.
func (v validated) Check(_ context.Context, request *authv1.CheckRequest) (*authv1.CheckResponse, error) {
	request.AgentType = "agent" // the catalog's rule is the checker's
	if err := protovalidate.Validate(request); err != nil {
		v.t.Errorf("%v breaks a rule: %v", request, err)
	}
	return &authv1.CheckResponse{Allowed: request.GetMethod() == "POST", HttpStatus: 401}, nil
}

// TestAnyMessageIsUnderstood: Envoy leaves out messages and fields, and a later release may send others.
func TestAnyMessageIsUnderstood(t *testing.T) {
	paths, err := agentpath.Parse([]string{agentpath.DefaultTemplate, "/w/{workspace_id}/{agent_type}s/{agent_id}/…"})
	if err != nil {
		t.Fatal(err)
	}
	callers := map[string]context.Context{}
	for _, workspace := range []string{"acme", access.AllWorkspaces} {
		callers[workspace] = accesstest.Context(t, access.Checker, workspace)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{wholeRequest, wholeRawRequest}).Draw(t, "request")
		request := disturbed(t, text, &authv3.CheckRequest{})
		service := &authorization{checks: validated{t: t}, paths: paths}
		response, err := service.Check(callers[rapid.SampledFrom([]string{"acme", access.AllWorkspaces}).Draw(t, "token")], request)
		if (response == nil) == (err == nil) || err != nil && fault.KindOf(err) == fault.Internal {
			t.Errorf("%v: %v, %v", request, response, err)
		}
		message := disturbed(t, wholeMessage, &accesslogv3.StreamAccessLogsMessage{})
		outcomes := outcomesOf(message)
		if len(outcomes) == 0 {
			return
		}
		if err := protovalidate.Validate(&authv1.ReportRequest{Outcomes: outcomes}); err != nil {
			t.Errorf("%v: %v", message, err)
		}
	})
}
