package app

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func TestReadinessNeedsPartitions(t *testing.T) {
	today := time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)
	tomorrow, later := today.AddDate(0, 0, 1), today.AddDate(0, 0, 2)
	for name, tt := range map[string]struct {
		now  time.Time
		days []time.Time
		err  error
		want string // in the error; empty = present
	}{
		"both":              {today, []time.Time{later, tomorrow, today}, nil, ""},
		"the last moment":   {tomorrow.Add(-1), []time.Time{tomorrow, today}, nil, ""},
		"another time zone": {today.Add(time.Hour).In(time.FixedZone("", -10*3600)), []time.Time{tomorrow, today}, nil, ""},
		"the next moment":   {tomorrow, []time.Time{tomorrow, today}, nil, "tomorrow"},
		"no today":          {today, []time.Time{later, tomorrow}, nil, "today"},
		"none":              {today, nil, nil, "today"},
		"the database":      {today, nil, errors.New("password"), "cannot be read"},
	} {
		p := partitions{list: func(context.Context) ([]time.Time, error) { return tt.days, tt.err }, now: func() time.Time { return tt.now }}
		err := p.check(t.Context())
		if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "password")) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func TestPartitionMetricsNeedTheDatabase(t *testing.T) {
	today := time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)
	var listErr error
	p := partitions{list: func(context.Context) ([]time.Time, error) { return []time.Time{today}, listErr }, now: func() time.Time { return today }}
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(p)
	collect := func() (lines string) {
		response := httptest.NewRecorder()
		promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}).ServeHTTP(response, httptest.NewRequest("GET", "/metrics", nil))
		for line := range strings.Lines(response.Body.String()) {
			if !strings.HasPrefix(line, "#") {
				lines += line
			}
		}
		return lines
	}
	want := `keytrail_logs_partition_present{day="today"} 1
keytrail_logs_partition_present{day="tomorrow"} 0
keytrail_logs_partitions 1
`
	if got := collect(); got != want {
		t.Errorf("metrics:\n%swant:\n%s", got, want)
	}
	listErr = errors.New("unavailable")
	if got := collect(); got != "" {
		t.Errorf("while the database is unavailable, this is collected:\n%s", got)
	}
}
