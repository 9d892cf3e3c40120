package e2e

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"testing"
)

// variable returns the value of an environment variable of a service; empty if compose does not set it.
func (s composeService) variable(name string) string {
	return *cmp.Or(s.Environment[name], new(""))
}

// mounts reports whether a service mounts a volume of the compose file.
func (s composeService) mounts(volume string) bool {
	return slices.ContainsFunc(s.Volumes, func(mount string) bool { return strings.HasPrefix(mount, volume+":") })
}

// servicesThat returns the names of the services for which a condition holds.
func servicesThat(t *testing.T, holds func(composeService) bool) string {
	t.Helper()
	services := readCompose(t)
	maps.DeleteFunc(services, func(_ string, s composeService) bool { return !holds(s) })
	return strings.Join(slices.Sorted(maps.Keys(services)), " ")
}

// sets reports whether a service has a variable whose value contains a text.
func sets(text string) func(composeService) bool {
	return func(s composeService) bool {
		for _, value := range s.Environment {
			if value != nil && strings.Contains(*value, text) {
				return true
			}
		}
		return false
	}
}

func TestComposeServicesAreNoSuperuser(t *testing.T) {
	t.Parallel()
	services := readCompose(t)
	for name, role := range map[string]string{"authsvc": authRole, "logsvc": logsRole} {
		if url := services[name].variable("KEYTRAIL_DATABASE_URL"); !strings.HasPrefix(url, "postgres://"+role+"@") {
			t.Errorf("%s connects to %q", name, url)
		}
		dependsOn := services[name].DependsOn
		var conditions map[string]struct{ Condition string }
		if err := dependsOn.Decode(&conditions); err != nil || conditions["roles"].Condition != "service_completed_successfully" {
			t.Errorf("%s does not wait for its role: %v %v", name, conditions, err)
		}
	}
	for password, want := range map[string]string{
		"${POSTGRES_PASSWORD": "postgres roles", "${POSTGRES_AUTH_PASSWORD": "authsvc roles", "${POSTGRES_LOGS_PASSWORD": "logsvc roles",
	} {
		if got := servicesThat(t, sets(password)); got != want {
			t.Errorf("%s} is given to %q, want %q", password, got, want)
		}
	}
	roles := services["roles"]
	mounted := slices.Contains(roles.Volumes, "./deploy/postgres/roles.sql:/roles.sql:ro")
	if !mounted || !slices.Contains(roles.Entrypoint, "--file=/roles.sql") {
		t.Errorf("the service roles does not run deploy/postgres/roles.sql: %v %v", roles.Entrypoint, roles.Volumes)
	}
}

func TestNoComposePartReadsTheKeyOfAdmins(t *testing.T) {
	t.Parallel()
	for volume, want := range map[string]string{"keys": "init token", "ingester-key": "authsvc init-ingester"} {
		if got := servicesThat(t, func(s composeService) bool { return s.mounts(volume) }); got != want {
			t.Errorf("the volume %s is mounted by %q, want %q", volume, got, want)
		}
	}
	services := readCompose(t)
	const public, ingester = "/var/lib/keytrail/token-keys/public.pem", "/var/lib/keytrail/token-keys/ingester.pem"
	for name, want := range map[string]string{"authsvc": public, "gateway": public, "logsvc": public + ",ingester=" + ingester} {
		if got := services[name].variable("KEYTRAIL_TOKEN_KEYS"); got != want {
			t.Errorf("%s accepts tokens of %q, want %q", name, got, want)
		}
	}
	const key = "/var/lib/keytrail/ingester-key/signing-key.pem"
	if got := services["authsvc"].variable("KEYTRAIL_SIGNING_KEY"); got != key {
		t.Errorf("the auth service signs with %s", got)
	}
	command := services["init-ingester"].Command
	if !slices.Contains(command, "--out="+key) || !slices.Contains(command, "--public-out="+ingester) {
		t.Errorf("init-ingester makes other keys: %v", command)
	}
}

func TestComposeOperatorsToolsReachNoMoreThanTheyNeed(t *testing.T) {
	t.Parallel()
	grafana := readCompose(t)["grafana"]
	for variable, want := range map[string]string{
		"GF_AUTH_DISABLE_LOGIN_FORM": "true", "GF_AUTH_BASIC_ENABLED": "false", "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION": "true",
		"GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
	} {
		if got := grafana.variable(variable); got != want {
			t.Errorf("Grafana: %s is %q, want %q", variable, got, want)
		}
	}
	neighbours := servicesThat(t, func(s composeService) bool { _, there := s.Networks["metrics"]; return there })
	if neighbours != "grafana prometheus" || len(grafana.Networks) != 1 {
		t.Errorf("on the network of Grafana are %q, and Grafana is on %v", neighbours, grafana.Networks)
	}
	if got := servicesThat(t, func(s composeService) bool { return s.variable("KEYTRAIL_PPROF_ADDR") != "" }); got != "" {
		t.Errorf("profiles are open in %q", got)
	}
}
