package e2e

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// composeService is the part of a compose service that the tests read.
type composeService struct {
	Restart     string
	Entrypoint  []string
	Command     []string
	Volumes     []string
	DependsOn   yaml.Node `yaml:"depends_on"`
	SecurityOpt []string  `yaml:"security_opt"`
	// Environment has nil for a variable that compose passes through.
	Environment map[string]*string
	Ports       []string
	Networks    composeNetworks
	Deploy      struct {
		Resources struct {
			Limits struct {
				CPUs, Memory string
				PIDs         int
			}
		}
	}
}

// composeNetworks are the networks of a service, with its aliases.
type composeNetworks map[string]struct{ Aliases []string }

// UnmarshalYAML reads both forms of the compose file: a list and a map.
func (n *composeNetworks) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.MappingNode {
		return node.Decode((*map[string]struct{ Aliases []string })(n))
	}
	var names []string
	if err := node.Decode(&names); err != nil {
		return err
	}
	*n = composeNetworks{}
	for _, name := range names {
		(*n)[name] = struct{ Aliases []string }{}
	}
	return nil
}

func readCompose(t *testing.T) map[string]composeService {
	t.Helper()
	var compose struct{ Services map[string]composeService }
	if err := yaml.Unmarshal(file(t, "docker-compose.yml"), &compose); err != nil {
		t.Fatal(err)
	}
	if len(compose.Services) < 7 {
		t.Fatalf("the compose file has %d services", len(compose.Services))
	}
	return compose.Services
}

func TestEveryComposeServiceHasLimits(t *testing.T) {
	t.Parallel()
	for name, service := range readCompose(t) {
		if limits := service.Deploy.Resources.Limits; limits.CPUs == "" || limits.Memory == "" || limits.PIDs == 0 {
			t.Errorf("%s: limits %+v", name, limits)
		}
		if !slices.Contains(service.SecurityOpt, "no-new-privileges:true") || service.Restart == "" {
			t.Errorf("%s: security %q, restart %q", name, service.SecurityOpt, service.Restart)
		}
	}
}

func TestComposePublishesOnlyOnLoopback(t *testing.T) {
	t.Parallel()
	published := map[string]string{
		"authsvc": "127.0.0.1:${KEYTRAIL_AUTH_PORT:-7001}:7001", "gateway": "127.0.0.1:8080:8080",
		"prometheus": "127.0.0.1:9090:9090", "grafana": "127.0.0.1:3000:3000",
	}
	for name, service := range readCompose(t) {
		if got := strings.Join(service.Ports, " "); got != published[name] {
			t.Errorf("%s publishes %q, want %q", name, got, published[name])
		}
	}
}

// Docker resolves a name in the networks of a container one after another. A name that another project also uses can
// resolve to that project's container.
func TestOnlyTheAuthServiceIsOnTheSharedNetwork(t *testing.T) {
	t.Parallel()
	services := readCompose(t)
	for name, service := range services {
		if _, there := service.Networks["keytrail"]; there != (name == "authsvc") {
			t.Errorf("%s is on the network of other projects: %t", name, there)
		}
	}
	for name, network := range map[string]string{"postgres": "store", "logsvc": "parts"} {
		if aliases := services[name].Networks[network].Aliases; !slices.Contains(aliases, "keytrail-"+name) {
			t.Errorf("%s has the names %q on the network %s", name, aliases, network)
		}
	}
	environment := services["authsvc"].Environment
	for variable, host := range map[string]string{"KEYTRAIL_LOGS_ADDR": "keytrail-logsvc:7002", "KEYTRAIL_DATABASE_URL": "@keytrail-postgres:5432/"} {
		if value := environment[variable]; value == nil || !strings.Contains(*value, host) {
			t.Errorf("the auth service: %s is not %s", variable, host)
		}
	}
}

func TestComposePassesTheDocumentedTraceVariables(t *testing.T) {
	t.Parallel()
	named := regexp.MustCompile(`OTEL_[A-Z_]+[A-Z]`).FindAllString(string(file(t, "docs/operations.md")), -1)
	if !slices.Contains(named, "OTEL_EXPORTER_OTLP_ENDPOINT") {
		t.Fatalf("docs/operations.md names %q", named)
	}
	services := readCompose(t)
	for _, variable := range named {
		// The first has no effect; the second would give all services the same name.
		if variable == "OTEL_EXPORTER_OTLP_PROTOCOL" || variable == "OTEL_SERVICE_NAME" {
			continue
		}
		for _, part := range []string{"authsvc", "logsvc", "gateway"} {
			if value, there := services[part].Environment[variable]; !there || value != nil {
				t.Errorf("%s is not passed to %s", variable, part)
			}
		}
	}
}
