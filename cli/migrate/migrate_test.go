package migrate_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/cli/migrate"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

func TestRunCopiesEverythingAndLeavesTheSourceUnchanged(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 3)
	before := f.databases()
	report := f.run()
	if !report.Equal() || len(report.Pairs) != 6 || report.Expired != 3*expired {
		t.Errorf("report %+v", report)
	}
	for _, p := range report.Pairs {
		want := int64(2)
		if p.What == migrate.RequestLogs {
			want = perWorkspace
		}
		if p.From != want || p.To != want {
			t.Errorf("%s of %s: %d and %d, want %d", p.What, p.WorkspaceID, p.From, p.To, want)
		}
	}
	f.expectAll()
	if f.databases() != before {
		t.Error("the source has changed")
	}
	if again := f.run(); !again.Equal() {
		t.Errorf("repeated: %+v", again)
	}
	f.expectAll()
}

// databases returns the contents of the source files.
func (f *fixture) databases() (content [2]string) {
	f.Helper()
	for i, name := range []string{"auth.db", "logs.db"} {
		text, err := os.ReadFile(filepath.Join(f.dir, name))
		f.must(err)
		content[i] = string(text)
	}
	return content
}

func TestInterruptedRunCanBeRepeated(t *testing.T) {
	t.Parallel()
	const seed = 20
	random := rand.New(rand.NewPCG(seed, seed))
	f := newFixture(t, 12)
	interrupted, finished := 0, 0
	for finished < 3 {
		// The clock is read some 70 times, several times for each workspace.
		reads, at := atomic.Int64{}, 1+random.Int64N(100)
		ctx, cancel := context.WithCancel(t.Context())
		config := f.config()
		config.Now = func() time.Time {
			if reads.Add(1) == at {
				cancel()
			}
			return time.Now()
		}
		report, err := migrate.Run(ctx, config)
		cancel()
		switch {
		case err == nil && report.Equal():
			finished++
			f.expectAll()
		case errors.Is(err, context.Canceled):
			interrupted++
			f.expectNoOrAllKeys()
		default:
			t.Fatalf("interrupted at %d: %+v, %v", at, report, err)
		}
	}
	if interrupted < 3 {
		t.Errorf("it was interrupted only %d times", interrupted)
	}
}

func (f *fixture) expectNoOrAllKeys() {
	f.Helper()
	var ids int
	f.must(f.targetKeys().Changes(f.Context(), 0, func(authsvc.Change) error {
		ids++
		return nil
	}))
	if ids != 0 && ids != len(f.keys) {
		f.Errorf("%d of %d keys are there", ids, len(f.keys))
	}
}

func TestTargetWithOtherKeysIsRefused(t *testing.T) {
	for name, prepare := range map[string]func(f *fixture){
		"a key of another workspace": func(f *fixture) {
			f.must(f.targetKeys().Create(f.Context(), newKey("globex", time.Now().UTC()), authsvc.Request{}))
		},
		"a key that was deleted": func(f *fixture) {
			key := newKey("globex", time.Now().UTC())
			f.must(f.targetKeys().Create(f.Context(), key, authsvc.Request{}))
			f.must(f.targetKeys().Delete(f.Context(), key.WorkspaceID, key.ID, func(*authsvc.Key) error { return nil }))
		},
		"a changed key of the source": func(f *fixture) {
			f.importKeys(f.tokenKey)
			_, err := f.targetKeys().Update(f.Context(), f.keys[0].WorkspaceID, f.keys[0].ID, authsvc.Request{}, func(key *authsvc.Key) error {
				key.Disabled = !key.Disabled
				return nil
			})
			f.must(err)
		},
		"another token key": func(f *fixture) { f.importKeys(make([]byte, 32)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, 1)
			prepare(f)
			if _, err := migrate.Run(t.Context(), f.config()); err == nil || !strings.Contains(err.Error(), "not those of the source") {
				t.Errorf("error %v", err)
			}
			f.expectRows(0)
		})
	}
}

// importKeys imports the keys of the source into the target, with a token key.
func (f *fixture) importKeys(tokenKey []byte) {
	f.Helper()
	source := f.sourceKeys()
	f.must(f.targetKeys().Import(f.Context(), tokenKey, func(apply func(authsvc.Change) error) error {
		return source.Changes(f.Context(), 0, apply)
	}))
	f.must(source.Close())
}

// expectRows expects a number of request logs at the target.
func (f *fixture) expectRows(want int) {
	f.Helper()
	var got int
	conn := f.connect()
	f.must(conn.QueryRow(f.Context(), `SELECT count(*) FROM keytrail_logs.request_logs`).Scan(&got))
	if got != want {
		f.Errorf("%d request logs at the target, want %d", got, want)
	}
}

func (f *fixture) connect() *pgx.Conn {
	f.Helper()
	conn, err := pgx.Connect(f.Context(), f.url)
	f.must(err)
	f.Cleanup(func() { f.must(conn.Close(context.Background())) })
	return conn
}

func TestDifferenceIsReported(t *testing.T) {
	for name, statement := range map[string]string{
		"a status":       `UPDATE keytrail_logs.request_logs SET status = 500 WHERE status = 200`,
		"an endpoint":    `UPDATE keytrail_logs.request_logs SET endpoint = endpoint || '/'`,
		"a call count":   `UPDATE keytrail_logs.request_logs SET call_count = 58 WHERE call_count = 57`,
		"a name of keys": `UPDATE keytrail_logs.request_logs SET key_name = 'x' WHERE key_name <> ''`,
		"an additional row": `INSERT INTO keytrail_logs.request_logs SELECT (left(id::text, 35) || '0')::uuid, key_id, latency_us, call_count, status,
			from_report, workspace_id, endpoint, error_code, agent_type, agent_id, method, cause, key_name, key_last4, external_id
			FROM keytrail_logs.request_logs WHERE right(id::text, 1) <> '0' ORDER BY id LIMIT 1`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, 1)
			f.run()
			_, err := f.connect().Exec(t.Context(), statement)
			f.must(err)
			report := f.run()
			for _, p := range report.Pairs {
				if p.Equal != (p.What == migrate.Keys) {
					t.Errorf("%s: equal is %t", p.What, p.Equal)
				}
			}
			if report.Equal() {
				t.Error("the report says equal")
			}
		})
	}
}

func TestOtherRowsOfTheTargetAreKeptAndNotCompared(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 1)
	others := []logsvc.Entry{newEntry("globex", time.Now(), 2, f.keys[0]), newEntry("ws-00", time.Now().Add(time.Minute), 2, f.keys[0])}
	f.must(f.targetLogs().Record(t.Context(), others))
	if report := f.run(); !report.Equal() {
		t.Errorf("report %+v", report)
	}
	f.expectRows(perWorkspace + len(others))
}

// Between two runs the source may be used.
func TestRowsThatChangedSinceTheFirstRunAreCopiedAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 1)
	f.must(f.targetLogs().Record(t.Context(), f.logs["ws-00"]))
	source, ended := f.sourceLogs(), &f.logs["ws-00"][0]
	if ended.Status != 0 {
		t.Fatal("the first row is not in progress")
	}
	ended.Status, ended.Latency, ended.Reported = 204, time.Second, true
	f.must(source.Record(t.Context(), []logsvc.Entry{*ended, {ID: uuid7.New(time.Now()), WorkspaceID: "new", Status: 200, CallCount: 1}}))
	f.must(source.Close())
	if report := f.run(); !report.Equal() {
		t.Errorf("report %+v", report)
	}
	f.expectAll()
	f.expectRows(perWorkspace + 1)
}
