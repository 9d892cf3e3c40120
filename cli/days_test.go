package cli

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

func TestTodayAndTomorrowMustHaveAPartition(t *testing.T) {
	today := time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)
	tomorrow, later := today.AddDate(0, 0, 1), today.AddDate(0, 0, 2)
	for name, tt := range map[string]struct {
		now    time.Time
		stored []time.Time
		err    error
		want   string // in the error; empty = present
	}{
		"both":              {today, []time.Time{later, tomorrow, today}, nil, ""},
		"the last moment":   {tomorrow.Add(-1), []time.Time{tomorrow, today}, nil, ""},
		"another time zone": {today.Add(time.Hour).In(time.FixedZone("", -10*3600)), []time.Time{tomorrow, today}, nil, ""},
		"the next moment":   {tomorrow, []time.Time{tomorrow, today}, nil, "tomorrow"},
		"no today":          {today, []time.Time{later, tomorrow}, nil, "today"},
		"none":              {today, nil, nil, "today"},
		"the database":      {today, nil, errors.New("password"), "cannot be read"},
	} {
		d := days{stored: func(context.Context) ([]time.Time, error) { return tt.stored, tt.err }, now: func() time.Time { return tt.now }}
		err := d.present(t.Context())
		if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "password")) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func TestPartitionsAreToldWhileTheDatabaseIsThere(t *testing.T) {
	today := time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)
	var away error
	d := days{stored: func(context.Context) ([]time.Time, error) { return []time.Time{today}, away }, now: func() time.Time { return today }}
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(d)
	told := func() (lines string) {
		answer := httptest.NewRecorder()
		promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
		for line := range strings.Lines(answer.Body.String()) {
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
	if got := told(); got != want {
		t.Errorf("told:\n%swant:\n%s", got, want)
	}
	away = errors.New("away")
	if got := told(); got != "" {
		t.Errorf("while the database is away, this is told:\n%s", got)
	}
}
