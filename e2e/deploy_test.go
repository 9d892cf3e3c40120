package e2e

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/keytrail/keytrail/app"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
	"github.com/keytrail/keytrail/internal/testing/tlstest"
)

// alert is an alerting rule of Prometheus.
type alert struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

// file reads a file of the repository.
func file(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile("../" + path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func readAlerts(t *testing.T) []alert {
	t.Helper()
	var rules struct{ Groups []struct{ Rules []alert } }
	if err := yaml.Unmarshal(file(t, "deploy/prometheus/alerts.yml"), &rules); err != nil {
		t.Fatal(err)
	}
	if len(rules.Groups) != 1 || len(rules.Groups[0].Rules) == 0 {
		t.Fatalf("unexpected alerts: %+v", rules)
	}
	return rules.Groups[0].Rules
}

// readPanels returns the expressions of the dashboard by panel title.
func readPanels(t *testing.T) map[string][]string {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(file(t, "deploy/grafana/dashboards/keytrail.json"), &dashboard); err != nil {
		t.Fatal(err)
	}
	panels := map[string][]string{}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			panels[panel.Title] = append(panels[panel.Title], target.Expr)
		}
	}
	if len(panels) < 10 {
		t.Fatalf("the dashboard has %d panels", len(panels))
	}
	return panels
}

var (
	quoted = regexp.MustCompile(`"[^"]*"`)
	// ranges matches range selectors, including Grafana's variable.
	ranges = regexp.MustCompile(`\[(\$__rate_interval|\d+[smhd](:\d+[smhd])?)\]`)
	word   = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*`)
	number = regexp.MustCompile(`\b\d[\d.]*(e\d+)?\b`)
	// labelName matches the label names of a series.
	labelName = regexp.MustCompile(`([a-z_]+)="`)
)

// promQL are the keywords in use and the labels that Prometheus adds to every series.
var promQL = []string{"sum", "by", "rate", "increase", "max", "scalar", "time", "absent", "or", "histogram_quantile", "quantile_over_time", "up", "job", "instance"}

// unknownNames returns the names in an expression that no process exports and that are not PromQL.
func unknownNames(expr string, exported map[string]bool) (unknown []string) {
	bare := number.ReplaceAllString(ranges.ReplaceAllString(quoted.ReplaceAllString(expr, ""), ""), "")
	for _, name := range word.FindAllString(bare, -1) {
		if !exported[name] && !slices.Contains(promQL, name) {
			unknown = append(unknown, name)
		}
	}
	if strings.Count(bare, "(") != strings.Count(bare, ")") || strings.Count(bare, "{") != strings.Count(bare, "}") {
		unknown = append(unknown, "unbalanced brackets")
	}
	return unknown
}

// exportedNames returns the names of all metrics and labels of a system after traffic.
func exportedNames(t *testing.T) map[string]bool {
	t.Helper()
	authority := tlstest.NewAuthority(t)
	cert, key := authority.Issue(t, "keytrail").Write(t)
	s, _ := replica(t, pgtest.Database(t, nil), replicaOptions{
		transport: insecure.NewCredentials(),
		client:    &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool()}}},
		secure: func(_ *app.LogsConfig, _ *app.AuthConfig, gateway *app.GatewayConfig) {
			gateway.TLSCert, gateway.TLSKey = cert, key
		},
	})
	s.generate(trafficOf("zebra"))
	awaitShipped(t, s.parts[1].OpsAddr())
	exported := map[string]bool{}
	for _, part := range s.parts {
		for _, series := range seriesOf(t, part) {
			name, _, _ := strings.Cut(series, "{")
			exported[name] = true
			for _, label := range labelName.FindAllStringSubmatch(series, -1) {
				exported[label[1]] = true
			}
		}
	}
	return exported
}

func TestAlertsAndDashboardUseExportedMetrics(t *testing.T) {
	t.Parallel()
	exported := exportedNames(t)
	for _, rule := range readAlerts(t) {
		if unknown := unknownNames(rule.Expr, exported); unknown != nil {
			t.Errorf("alert %s: not exported: %q", rule.Alert, unknown)
		}
	}
	for title, exprs := range readPanels(t) {
		for _, expr := range exprs {
			if unknown := unknownNames(expr, exported); unknown != nil {
				t.Errorf("panel %s: not exported: %q", title, unknown)
			}
		}
	}
	if unknown := unknownNames(`sum(keytrail_chekcs_total{resutl="allowed"}`, exported); len(unknown) != 3 {
		t.Errorf("the test finds %q in an expression with three mistakes", unknown)
	}
}

func TestEveryAlertHasARunbook(t *testing.T) {
	t.Parallel()
	manual := string(file(t, "docs/operations.md"))
	for _, rule := range readAlerts(t) {
		anchor := strings.ToLower(rule.Alert)
		do := rule.Annotations["runbook"]
		if rule.Annotations["summary"] == "" || do == "" || rule.For == "" || !slices.Contains([]string{"critical", "warning", "info"}, rule.Labels["severity"]) {
			t.Errorf("%s is incomplete: %+v", rule.Alert, rule)
		}
		if rule.Annotations["runbook_url"] != "docs/operations.md#"+anchor {
			t.Errorf("%s: runbook_url %q", rule.Alert, rule.Annotations["runbook_url"])
		}
		if !strings.Contains(manual, `<a id="`+anchor+`"></a>`) || !strings.Contains(manual, do) {
			t.Errorf("docs/operations.md has no runbook of %s: %s", rule.Alert, do)
		}
	}
}

func TestPrometheusScrapesEveryService(t *testing.T) {
	t.Parallel()
	var config struct {
		Rules  []string `yaml:"rule_files"`
		Scrape []struct {
			Job string `yaml:"job_name"`
			DNS []struct {
				Names []string
				Type  string
				Port  int
			} `yaml:"dns_sd_configs"`
		} `yaml:"scrape_configs"`
	}
	if err := yaml.Unmarshal(file(t, "deploy/prometheus/prometheus.yml"), &config); err != nil {
		t.Fatal(err)
	}
	ports := map[string]int{"authsvc": 9101, "logsvc": 9102, "gateway": 9103}
	for _, job := range config.Scrape {
		if len(job.DNS) != 1 || job.DNS[0].Type != "A" || !slices.Equal(job.DNS[0].Names, []string{job.Job}) || job.DNS[0].Port != ports[job.Job] {
			t.Errorf("%s is scraped by %+v", job.Job, job.DNS)
		}
		delete(ports, job.Job)
	}
	if len(ports) != 0 || !slices.Equal(config.Rules, []string{"alerts.yml"}) {
		t.Errorf("not scraped: %v; rules %q", ports, config.Rules)
	}
}
