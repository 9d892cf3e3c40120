package migrate_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
	authpostgres "github.com/keytrail/keytrail/authsvc/postgres"
	authsqlite "github.com/keytrail/keytrail/authsvc/sqlite"
	"github.com/keytrail/keytrail/cli/migrate"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
	logspostgres "github.com/keytrail/keytrail/logsvc/postgres"
	logsqlite "github.com/keytrail/keytrail/logsvc/sqlite"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	retention = 30 * 24 * time.Hour
	// expired is how many request logs of a world are too old.
	expired = 3
	// perWorkspace is how many of each workspace are not.
	perWorkspace = 40
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// world is a data folder with something of everything, and an empty database.
type world struct {
	*testing.T
	dir, url string
	// keys by the order of their last changes, and the request logs of each workspace by ascending id.
	keys     []authsvc.Key
	logs     map[string][]logsvc.Entry
	tokenKey []byte
}

func newWorld(t *testing.T, workspaces int) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir(), url: pgtest.Database(t, schemas), logs: map[string][]logsvc.Entry{}}
	keys, logs := w.sourceKeys(), w.sourceLogs()
	for i := range workspaces {
		w.fill(keys, logs, fmt.Sprintf("ws-%02d", i))
	}
	var err error
	w.tokenKey, err = keys.TokenKey(t.Context())
	w.must(err)
	w.must(keys.Close())
	w.must(logs.Close())
	return w
}

// schemas makes the template of the databases.
func schemas(ctx context.Context, url string) error {
	keys, err := authpostgres.Open(ctx, url)
	if err != nil {
		return err
	}
	defer keys.Close()
	logs, err := logspostgres.Open(ctx, url, time.Now)
	if err != nil {
		return err
	}
	return logs.Close()
}

// fill makes what is odd about keys and request logs, in one workspace.
func (w *world) fill(keys authsvc.Store, logs logsvc.Store, workspaceID string) {
	w.Helper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	plain, rotated, deleted := newKey(workspaceID, now), newKey(workspaceID, now), newKey(workspaceID, now)
	plain.Name, plain.AllAgents, plain.AgentIDs = "Zoë's \"key\" 鍵", true, nil
	plain.ExpireTime, plain.Disabled = now.Add(time.Hour), true
	for _, key := range []authsvc.Key{rotated, plain, deleted} {
		w.must(keys.Create(w.Context(), key, authsvc.Request{}))
	}
	w.must(keys.Delete(w.Context(), workspaceID, deleted.ID, func(*authsvc.Key) error { return nil }))
	rotated, err := keys.Update(w.Context(), workspaceID, rotated.ID, authsvc.Request{}, func(key *authsvc.Key) error {
		key.Secrets[0].ExpireTime = now.Add(time.Minute)
		key.Secrets = append([]authsvc.Secret{newSecret(now)}, key.Secrets...)
		return nil
	})
	w.must(err)
	w.keys = append(w.keys, plain, rotated)

	var entries []logsvc.Entry
	for i := range perWorkspace {
		at := now.Add(-time.Duration(perWorkspace-i) * 17 * time.Hour)
		entries = append(entries, newEntry(workspaceID, at, i, rotated))
	}
	w.logs[workspaceID] = slices.Clone(entries)
	for i := range expired {
		entries = append(entries, newEntry(workspaceID, now.Add(-retention-time.Duration(i)*time.Hour), i, plain))
	}
	w.must(logs.Record(w.Context(), entries))
}

func newKey(workspaceID string, now time.Time) authsvc.Key {
	return authsvc.Key{
		ID: uuid7.New(now), WorkspaceID: workspaceID, Name: "name", Description: "d", ExternalID: "e", Metadata: map[string]string{"k": "v"}, Scopes: []string{"agent", "voice_agent"}, AgentIDs: []string{"a, b", "c"},
		CreateTime: now, UpdateTime: now.Add(time.Second), Secrets: []authsvc.Secret{newSecret(now)},
	}
}

func newSecret(now time.Time) authsvc.Secret {
	secret := authsvc.NewSecret()
	return authsvc.Secret{Digest: secret.Digest(), Last4: secret.Last4(), CreateTime: now}
}

// newEntry is by its number one in progress, one that proved no key, and one that ended.
func newEntry(workspaceID string, at time.Time, number int, key authsvc.Key) logsvc.Entry {
	e := logsvc.Entry{
		ID: uuid7.New(at), WorkspaceID: workspaceID, KeyID: key.ID, KeyName: key.Name, KeyLast4: key.Last4(), ExternalID: key.ExternalID,
		AgentType: "agent", AgentID: "a", Method: "POST", Endpoint: fmt.Sprint("/v1/é%/", number), CallCount: 1,
	}
	switch number % 3 {
	case 1:
		e.KeyID, e.KeyName, e.KeyLast4, e.ExternalID = uuid.Nil, "", "", ""
		e.Status, e.ErrorCode, e.Cause, e.CallCount = 401, "invalid_token", "of_a_later_release", 57
	case 2:
		e.Status, e.Latency, e.Reported, e.FromReport = 200, 12345*time.Microsecond, true, true
	}
	return e
}

func (w *world) config() migrate.Config {
	return migrate.Config{
		DataDir: w.dir, DatabaseURL: w.url, Retention: retention, Now: time.Now, Log: quiet, Progress: func(string) {},
	}
}

// run moves everything, and expects that it says so.
func (w *world) run() migrate.Report {
	w.Helper()
	report, err := migrate.Run(w.Context(), w.config())
	w.must(err)
	return report
}

// expectAll expects the target to hold exactly what the source does, read in other ways than the move does.
func (w *world) expectAll() {
	w.Helper()
	store, now := w.targetKeys(), time.Now()
	var keys []authsvc.Key
	w.must(store.Changes(w.Context(), 0, func(c authsvc.Change) error {
		keys = append(keys, c.Key)
		return nil
	}))
	if diff := cmp.Diff(w.keys, keys); diff != "" {
		w.Errorf("keys (-source +target):\n%s", diff)
	}
	tokenKey, err := store.TokenKey(w.Context())
	w.must(err)
	if !slices.Equal(tokenKey, w.tokenKey) {
		w.Error("the token key is another one")
	}
	logs := w.targetLogs()
	for workspaceID, want := range w.logs {
		page, err := logs.List(w.Context(), logsvc.Query{
			WorkspaceID: workspaceID, Limit: 1000, Range: logsvc.Range{From: uuid7.First(now.Add(-2 * retention)), To: uuid.Max},
		})
		w.must(err)
		slices.Reverse(page.Entries)
		if diff := cmp.Diff(want, page.Entries); diff != "" {
			w.Errorf("request logs of %s (-source +target):\n%s", workspaceID, diff)
		}
	}
}

func (w *world) sourceKeys() *authsqlite.Store {
	w.Helper()
	store, err := authsqlite.Open(w.Context(), filepath.Join(w.dir, "auth.db"))
	w.must(err)
	return store
}

func (w *world) sourceLogs() *logsqlite.Store {
	w.Helper()
	store, err := logsqlite.Open(w.Context(), filepath.Join(w.dir, "logs.db"))
	w.must(err)
	return store
}

func (w *world) targetKeys() *authpostgres.Store {
	w.Helper()
	store, err := authpostgres.Open(w.Context(), w.url)
	w.must(err)
	w.Cleanup(func() { w.must(store.Close()) })
	return store
}

func (w *world) targetLogs() *logspostgres.Store {
	w.Helper()
	store, err := logspostgres.Open(w.Context(), w.url, time.Now)
	w.must(err)
	w.Cleanup(func() { w.must(store.Close()) })
	return store
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}
