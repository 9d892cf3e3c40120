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

func TestEverythingArrivesAndTheSourceStaysAsItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	before := w.databases()
	report := w.run()
	if !report.Equal() || len(report.Pairs) != 6 || report.Expired != 3*expired {
		t.Errorf("report %+v", report)
	}
	for _, p := range report.Pairs {
		want := int64(2)
		if p.What == migrate.RequestLogs {
			want = perWorkspace
		}
		if p.From.Count != want || p.To.Count != want {
			t.Errorf("%s of %s: %d and %d, want %d", p.What, p.WorkspaceID, p.From.Count, p.To.Count, want)
		}
	}
	w.expectAll()
	if w.databases() != before {
		t.Error("the source has changed")
	}
	if again := w.run(); !again.Equal() {
		t.Errorf("once more: %+v", again)
	}
	w.expectAll()
}

// databases is what is in the files of the source.
func (w *world) databases() (content [2]string) {
	w.Helper()
	for i, name := range []string{"auth.db", "logs.db"} {
		text, err := os.ReadFile(filepath.Join(w.dir, name))
		w.must(err)
		content[i] = string(text)
	}
	return content
}

func TestItGoesOnAfterItWasBrokenOffAnywhere(t *testing.T) {
	t.Parallel()
	const seed = 20
	random := rand.New(rand.NewPCG(seed, seed))
	w := newWorld(t, 12)
	cut, finished := 0, 0
	for finished < 3 {
		// The clock is asked at every page, by several goroutines.
		asked, at := atomic.Int64{}, 1+random.Int64N(60)
		ctx, cancel := context.WithCancel(t.Context())
		config := w.config()
		config.Now = func() time.Time {
			if asked.Add(1) == at {
				cancel()
			}
			return time.Now()
		}
		report, err := migrate.Run(ctx, config)
		cancel()
		switch {
		case err == nil && report.Equal():
			finished++
			w.expectAll()
		case errors.Is(err, context.Canceled):
			cut++
			w.expectNoOrAllKeys()
		default:
			t.Fatalf("cut at %d: %+v, %v", at, report, err)
		}
	}
	if cut < 3 {
		t.Errorf("it was broken off %d times only", cut)
	}
}

func (w *world) expectNoOrAllKeys() {
	w.Helper()
	var ids int
	w.must(w.targetKeys().Changes(w.Context(), 0, func(authsvc.Change) error {
		ids++
		return nil
	}))
	if ids != 0 && ids != len(w.keys) {
		w.Errorf("%d of %d keys are there", ids, len(w.keys))
	}
}

func TestATargetWithOtherKeysIsRefusedBeforeAnythingIsMoved(t *testing.T) {
	for name, prepare := range map[string]func(w *world){
		"a key of another workspace": func(w *world) {
			w.must(w.targetKeys().Create(w.Context(), newKey("globex", time.Now().UTC()), authsvc.Request{}))
		},
		"a key that was deleted": func(w *world) {
			key := newKey("globex", time.Now().UTC())
			w.must(w.targetKeys().Create(w.Context(), key, authsvc.Request{}))
			w.must(w.targetKeys().Delete(w.Context(), key.WorkspaceID, key.ID, func(*authsvc.Key) error { return nil }))
		},
		"a key of ours that has changed": func(w *world) {
			w.importKeys(w.tokenKey)
			_, err := w.targetKeys().Update(w.Context(), w.keys[0].WorkspaceID, w.keys[0].ID, authsvc.Request{}, func(key *authsvc.Key) error {
				key.Disabled = !key.Disabled
				return nil
			})
			w.must(err)
		},
		"another token key": func(w *world) { w.importKeys(make([]byte, 32)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			prepare(w)
			if _, err := migrate.Run(t.Context(), w.config()); err == nil || !strings.Contains(err.Error(), "not those of the source") {
				t.Errorf("error %v", err)
			}
			w.expectRows(0)
		})
	}
}

// importKeys gives the target the source's keys and a token key.
func (w *world) importKeys(tokenKey []byte) {
	w.Helper()
	source := w.sourceKeys()
	w.must(w.targetKeys().Import(w.Context(), tokenKey, func(apply func(authsvc.Change) error) error {
		return source.Changes(w.Context(), 0, apply)
	}))
	w.must(source.Close())
}

// expectRows expects so many request logs at the target.
func (w *world) expectRows(want int) {
	w.Helper()
	var got int
	conn := w.connect()
	w.must(conn.QueryRow(w.Context(), `SELECT count(*) FROM keytrail_logs.request_logs`).Scan(&got))
	if got != want {
		w.Errorf("%d request logs at the target, want %d", got, want)
	}
}

func (w *world) connect() *pgx.Conn {
	w.Helper()
	conn, err := pgx.Connect(w.Context(), w.url)
	w.must(err)
	w.Cleanup(func() { w.must(conn.Close(context.Background())) })
	return conn
}

func TestADifferenceIsFound(t *testing.T) {
	for name, statement := range map[string]string{
		"a status":       `UPDATE keytrail_logs.request_logs SET status = 500 WHERE status = 200`,
		"an endpoint":    `UPDATE keytrail_logs.request_logs SET endpoint = endpoint || '/'`,
		"a call count":   `UPDATE keytrail_logs.request_logs SET call_count = 58 WHERE call_count = 57`,
		"a name of keys": `UPDATE keytrail_logs.request_log_keys SET key_name = 'x'`,
		"a row too many": `INSERT INTO keytrail_logs.request_logs SELECT (left(id::text, 35) || '0')::uuid, latency_us, key_ref, call_count, hour,
			status, from_report, workspace_id, agent_type, agent_id, method, error_code, cause, endpoint
			FROM keytrail_logs.request_logs WHERE right(id::text, 1) <> '0' ORDER BY id LIMIT 1`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			w.run()
			_, err := w.connect().Exec(t.Context(), statement)
			w.must(err)
			report := w.run()
			for _, p := range report.Pairs {
				if p.Equal() != (p.What == migrate.Keys) {
					t.Errorf("%s: equal is %t", p.What, p.Equal())
				}
			}
			if report.Equal() {
				t.Error("the report says that all is well")
			}
		})
	}
}

func TestRowsOfOthersAtTheTargetStayAndAreNotCompared(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	others := []logsvc.Entry{newEntry("globex", time.Now(), 2, w.keys[0]), newEntry("ws-00", time.Now().Add(time.Minute), 2, w.keys[0])}
	w.must(w.targetLogs().Record(t.Context(), others))
	if report := w.run(); !report.Equal() {
		t.Errorf("report %+v", report)
	}
	w.expectRows(perWorkspace + len(others))
}

// TestRowsThatHaveEndedSinceTheFirstAttemptAreMovedAgain: between two attempts the source may go on living.
func TestRowsThatHaveEndedSinceTheFirstAttemptAreMovedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.must(w.targetLogs().Record(t.Context(), w.logs["ws-00"]))
	source, ended := w.sourceLogs(), &w.logs["ws-00"][0]
	if ended.Status != 0 {
		t.Fatal("the first row is not in progress")
	}
	ended.Status, ended.Latency, ended.Reported = 204, time.Second, true
	w.must(source.Record(t.Context(), []logsvc.Entry{*ended, {ID: uuid7.New(time.Now()), WorkspaceID: "new", Status: 200, CallCount: 1}}))
	w.must(source.Close())
	if report := w.run(); !report.Equal() {
		t.Errorf("report %+v", report)
	}
	w.expectAll()
	w.expectRows(perWorkspace + 1)
}
