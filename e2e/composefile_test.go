package e2e

import (
	"regexp"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"
)

// composeService is what the tests ask of a service of the compose file.
type composeService struct {
	Restart     string
	SecurityOpt []string `yaml:"security_opt"`
	// Environment holds nil for a variable that is handed on as it is set.
	Environment map[string]*string
	Deploy      struct {
		Resources struct {
			Limits struct {
				CPUs, Memory string
				PIDs         int
			}
		}
	}
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

func TestEveryServiceOfComposeIsBounded(t *testing.T) {
	t.Parallel()
	for name, service := range readCompose(t) {
		if limits := service.Deploy.Resources.Limits; limits.CPUs == "" || limits.Memory == "" || limits.PIDs == 0 {
			t.Errorf("%s has limits of %+v", name, limits)
		}
		if !slices.Contains(service.SecurityOpt, "no-new-privileges:true") || service.Restart == "" {
			t.Errorf("%s: security %q, restart %q", name, service.SecurityOpt, service.Restart)
		}
	}
}

func TestComposeHandsOnWhatTheDocsSayOfTraces(t *testing.T) {
	t.Parallel()
	named := regexp.MustCompile(`OTEL_[A-Z_]+[A-Z]`).FindAllString(string(file(t, "docs/operations.md")), -1)
	if !slices.Contains(named, "OTEL_EXPORTER_OTLP_ENDPOINT") {
		t.Fatalf("docs/operations.md names %q", named)
	}
	services := readCompose(t)
	for _, variable := range named {
		// The first does nothing, the second would give all parts one name.
		if variable == "OTEL_EXPORTER_OTLP_PROTOCOL" || variable == "OTEL_SERVICE_NAME" {
			continue
		}
		for _, part := range []string{"authsvc", "logsvc", "gateway"} {
			if value, there := services[part].Environment[variable]; !there || value != nil {
				t.Errorf("%s is not handed on to %s", variable, part)
			}
		}
	}
}
