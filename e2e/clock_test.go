package e2e

import (
	"bytes"
	"log/slog"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/app"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
	logspostgres "github.com/keytrail/keytrail/logsvc/postgres"
	logssqlite "github.com/keytrail/keytrail/logsvc/sqlite"
)

// storedDays is how many days have a row in recordDays.
const storedDays = 5

// recordDays records a row of today and of each of the days before.
func recordDays(t *testing.T, store logsvc.Store) {
	t.Helper()
	for ago := range storedDays {
		id := uuid7.New(time.Now().AddDate(0, 0, -ago))
		row := logsvc.Entry{ID: id, WorkspaceID: "acme", Endpoint: "/v1", Status: 200, CallCount: 1}
		if err := store.Record(t.Context(), []logsvc.Entry{row}); err != nil {
			t.Fatal(err)
		}
	}
}

func storedRows(t *testing.T, store logsvc.Store) int {
	t.Helper()
	query := logsvc.ViewQuery{WorkspaceID: "acme", Range: logsvc.Range{To: uuid.Max}, Rows: 100, Blocks: 100}
	view, err := store.View(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	rows := len(view.Rows)
	for _, b := range view.Blocks {
		rows += b.Rows
	}
	return rows
}

const clocksApart = `"clock":"the clock of this machine is at `

// wrongly is what is wrong with a log service that starts, and what its readiness says then.
var wrongly = map[string]struct {
	ahead       time.Duration
	retention   time.Duration
	code        int
	says        string
	unconfirmed bool
}{
	"a clock 31 days ahead":                 {31 * 24 * time.Hour, retention, http.StatusServiceUnavailable, clocksApart, false},
	"a retention of 1h instead of 720h":     {0, time.Hour, http.StatusOK, `"clock":"ok"`, true},
	"a clock two minutes behind":            {-2 * time.Minute, retention, http.StatusServiceUnavailable, clocksApart, false},
	"a clock half a minute off is no fault": {30 * time.Second, retention, http.StatusOK, `"clock":"ok"`, false},
}

// expiryFailed is a log that reports whether an expiry has failed.
type expiryFailed struct{ atomic.Bool }

func (f *expiryFailed) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("expiry of old request logs failed")) {
		f.Store(true)
	}
	return len(line), nil
}

func TestLogServiceThatStartsWronglyDropsNoDay(t *testing.T) {
	t.Parallel()
	for name, tt := range wrongly {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t, nil)
			store, err := logspostgres.Open(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			recordDays(t, store)
			_, keyFile := newSigner(t)
			config := app.LogsConfig{LogsAddr: anyPort, OpsAddr: anyPort, Retention: tt.retention, SearchBudget: time.Second}
			config.DatabaseURL, config.TokenKeys = url, []string{keyFile}
			var failed expiryFailed
			log, now := slog.New(slog.NewTextHandler(&failed, nil)), func() time.Time { return time.Now().Add(tt.ahead) }
			server, err := app.NewLogsServer(t.Context(), config, log, now)
			logs := runServer(t, server, err)
			await(t, waitTimeout, func() bool {
				expired, _ := metric(logs.OpsAddr(), "keytrail_logs_expire_success_timestamp_seconds")
				return expired > 0 || failed.Load()
			}, func() any { return "no expiry" })
			if rows := storedRows(t, store); rows != storedDays {
				t.Errorf("%d of %d rows are left", rows, storedDays)
			}
			expectReady(t, logs, tt.code, tt.says)
			expectReady(t, logs, tt.code, `"partitions":"ok"`) // those of the database's days
			if days, _ := metric(logs.OpsAddr(), "keytrail_logs_unconfirmed_expired_days"); (days > 2) != tt.unconfirmed {
				t.Errorf("%v days wait for a confirmation, want more than 2: %t", days, tt.unconfirmed)
			}
		})
	}
}

// logsCommand runs `keytrail logs` and returns what it prints.
func logsCommand(t *testing.T, args ...string) (output string, failed bool) {
	t.Helper()
	printed, err := exec.CommandContext(t.Context(), binary(t), append([]string{"logs"}, args...)...).CombinedOutput()
	return string(printed), err != nil
}

func TestEmbeddedClockThatWasAheadIsResetByACommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store, err := logssqlite.Open(t.Context(), filepath.Join(dir, "logs.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	recordDays(t, store)
	s := start(t, dir, func() time.Time { return time.Now().AddDate(0, 0, 31) })
	s.await(func() bool {
		days, _ := metric(s.server.OpsAddr(), "keytrail_logs_unconfirmed_expired_days")
		return days == storedDays
	}, func() any { return "the days do not wait for a confirmation" })
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s = start(t, dir, time.Now)
	expectReady(t, s.server, http.StatusServiceUnavailable, clocksApart)
	for _, to := range []time.Time{time.Now().AddDate(0, 0, 31), time.Now().Add(-2 * time.Minute)} {
		if said, failed := logsCommand(t, "reset-clock", "--data-dir", dir, "--to", to.UTC().Format(time.RFC3339)); !failed {
			t.Errorf("the clock was set to %v: %s", to, said)
		}
	}
	if said, failed := logsCommand(t, "reset-clock", "--data-dir", dir, "--to", time.Now().UTC().Format(time.RFC3339)); failed {
		t.Errorf("the clock was not set: %s", said)
	}
	expectReady(t, s.server, http.StatusOK, `"clock":"ok"`)
	if rows := storedRows(t, store); rows != storedDays {
		t.Errorf("%d of %d rows are left", rows, storedDays)
	}
}

var daysToConfirm = regexp.MustCompile(`^keytrail: (\d+) days .* retention of 1h0m0s, not 99: nothing is deleted`)

func TestDaysAreDeletedWhenTheirNumberIsConfirmed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	embedded := start(t, dir, time.Now)
	file, err := logssqlite.Open(t.Context(), filepath.Join(dir, "logs.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	url := pgtest.Database(t, nil)
	_, keyFile := newSigner(t)
	logService(t, url, anyPort, keyFile)
	database, err := logspostgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	for name, tt := range map[string]struct {
		store logsvc.Store
		where []string
	}{"embedded": {file, []string{"--data-dir", dir}}, "Postgres": {database, []string{"--database-url", url}}} {
		recordDays(t, tt.store)
		expire := append([]string{"expire", "--retention", "1h"}, tt.where...)
		said, failed := logsCommand(t, append(expire, "--confirm-days", "99")...)
		days := daysToConfirm.FindStringSubmatch(said)
		if !failed || days == nil || storedRows(t, tt.store) != storedDays {
			t.Fatalf("%s: with a wrong number %d rows are left, and it says %s", name, storedRows(t, tt.store), said)
		}
		said, failed = logsCommand(t, append(expire, "--confirm-days", days[1])...)
		if failed || storedRows(t, tt.store) > 2 {
			t.Errorf("%s: with the right number %d rows are left, and it says %s", name, storedRows(t, tt.store), said)
		}
	}
	expectReady(t, embedded.server, http.StatusOK, `"clock":"ok"`)
}
