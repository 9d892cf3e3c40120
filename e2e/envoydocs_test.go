package e2e

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// envoyBlocks are the messages of the YAML blocks in docs/integrations/envoy.md, by their first line. Blocks of Kubernetes are not
// Envoy's.
var envoyBlocks = map[string]proto.Message{
	"# envoy.yaml":                            &bootstrapv3.Bootstrap{},
	"# a route":                               &routev3.Route{},
	"# a filter before ext_authz":             &hcmv3.HttpFilter{},
	"# the cluster keytrail, with mutual TLS": &clusterv3.Cluster{},
	"# sds-envoy.yaml":                        &discoveryv3.DiscoveryResponse{},
}

// TestTheDocumentedConfigurationOfEnvoyIsOfItsAPI parses the configuration as Envoy does, which refuses unknown fields, and applies the
// rules of Envoy's API.
func TestTheDocumentedConfigurationOfEnvoyIsOfItsAPI(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/integrations/envoy.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1) {
		first, _, _ := strings.Cut(string(block[1]), "\n")
		if strings.HasPrefix(first, "apiVersion:") || first == "# meshConfig" {
			continue
		}
		message, known := envoyBlocks[first]
		if !known {
			t.Errorf("a block begins with %q: which message is it?", first)
			continue
		}
		found++
		if err := parseYAML(block[1], message); err != nil {
			t.Errorf("%s: %v", first, err)
			continue
		}
		expectValid(t, first, message.ProtoReflect())
	}
	if found != len(envoyBlocks) {
		t.Errorf("found %d of %d blocks", found, len(envoyBlocks))
	}
}

func parseYAML(text []byte, message proto.Message) error {
	var content any
	if err := yaml.Unmarshal(text, &content); err != nil {
		return err
	}
	encoded, err := json.Marshal(content)
	if err != nil {
		return err
	}
	return protojson.Unmarshal(encoded, message)
}

// expectValid applies the rules of a message, and of those in its google.protobuf.Any fields.
func expectValid(t *testing.T, name string, message protoreflect.Message) {
	t.Helper()
	if m, ok := message.Interface().(interface{ ValidateAll() error }); ok {
		if err := m.ValidateAll(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if packed, ok := message.Interface().(*anypb.Any); ok {
		content, err := packed.UnmarshalNew()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		expectValid(t, name, content.ProtoReflect())
	}
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsMap() && field.MapValue().Message() != nil:
			value.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				expectValid(t, name, v.Message())
				return true
			})
		case field.IsList() && field.Message() != nil:
			for i := range value.List().Len() {
				expectValid(t, name, value.List().Get(i).Message())
			}
		case !field.IsMap() && field.Message() != nil:
			expectValid(t, name, value.Message())
		}
		return true
	})
}
