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
	// expired is the number of expired request logs of each workspace.
	expired = 3
	// perWorkspace is the number of other request logs of each workspace.
	perWorkspace = 40
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// fixture is a data folder with keys and request logs of every kind, and an empty database.
type fixture struct {
	*testing.T
	dir, url string
	// keys by the order of their last changes, and the request logs of each workspace by ascending id.
	keys     []authsvc.Key
	logs     map[string][]logsvc.Entry
	tokenKey []byte
}

func newFixture(t *testing.T, workspaces int) *fixture {
	t.Helper()
	f := &fixture{T: t, dir: t.TempDir(), url: pgtest.Database(t, schemas), logs: map[string][]logsvc.Entry{}}
	keys, logs := f.sourceKeys(), f.sourceLogs()
	for i := range workspaces {
		f.fill(keys, logs, fmt.Sprintf("ws-%02d", i))
	}
	var err error
	f.tokenKey, err = keys.TokenKey(t.Context())
	f.must(err)
	f.must(keys.Close())
	f.must(logs.Close())
	return f
}

// schemas prepares the template of the databases.
func schemas(ctx context.Context, url string) error {
	keys, err := authpostgres.Open(ctx, url)
	if err != nil {
		return err
	}
	defer keys.Close()
	logs, err := logspostgres.Open(ctx, url)
	if err != nil {
		return err
	}
	return logs.Close()
}

// fill creates keys and request logs of every kind in one workspace.
func (f *fixture) fill(keys authsvc.Store, logs logsvc.Store, workspaceID string) {
	f.Helper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	plain, rotated, deleted := newKey(workspaceID, now), newKey(workspaceID, now), newKey(workspaceID, now)
	plain.Name, plain.AllAgents, plain.AgentIDs = "Zoë's \"key\" 鍵", true, nil
	plain.ExpireTime, plain.Disabled = now.Add(time.Hour), true
	for _, key := range []authsvc.Key{rotated, plain, deleted} {
		f.must(keys.Create(f.Context(), key, authsvc.Request{}))
	}
	f.must(keys.Delete(f.Context(), workspaceID, deleted.ID, func(*authsvc.Key) error { return nil }))
	rotated, err := keys.Update(f.Context(), workspaceID, rotated.ID, authsvc.Request{}, func(key *authsvc.Key) error {
		key.Secrets[0].ExpireTime = now.Add(time.Minute)
		key.Secrets = append([]authsvc.Secret{newSecret(now)}, key.Secrets...)
		return nil
	})
	f.must(err)
	f.keys = append(f.keys, plain, rotated)

	var entries []logsvc.Entry
	for i := range perWorkspace {
		at := now.Add(-time.Duration(perWorkspace-i) * 17 * time.Hour)
		entries = append(entries, newEntry(workspaceID, at, i, rotated))
	}
	f.logs[workspaceID] = slices.Clone(entries)
	for i := range expired {
		entries = append(entries, newEntry(workspaceID, now.Add(-retention-time.Duration(i)*time.Hour), i, plain))
	}
	f.must(logs.Record(f.Context(), entries))
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

// newEntry returns, depending on number, an entry in progress, one without a key, or a reported one.
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

func (f *fixture) config() migrate.Config {
	return migrate.Config{
		DataDir: f.dir, DatabaseURL: f.url, Retention: retention, Now: time.Now, Log: quiet, Progress: func(string) {},
	}
}

// run expects a run without an error.
func (f *fixture) run() migrate.Report {
	f.Helper()
	report, err := migrate.Run(f.Context(), f.config())
	f.must(err)
	return report
}

// expectAll expects the target to equal the source. It reads the target through other methods than Run does.
func (f *fixture) expectAll() {
	f.Helper()
	store, now := f.targetKeys(), time.Now()
	var keys []authsvc.Key
	f.must(store.Changes(f.Context(), 0, func(c authsvc.Change) error {
		keys = append(keys, c.Key)
		return nil
	}))
	if diff := cmp.Diff(f.keys, keys); diff != "" {
		f.Errorf("keys (-source +target):\n%s", diff)
	}
	tokenKey, err := store.TokenKey(f.Context())
	f.must(err)
	if !slices.Equal(tokenKey, f.tokenKey) {
		f.Error("the token keys differ")
	}
	logs := logsvc.NewSearcher(f.targetLogs(), func(string, logsvc.Block, error) {})
	for workspaceID, want := range f.logs {
		page, err := logs.List(f.Context(), logsvc.Query{
			WorkspaceID: workspaceID, Limit: 1000, Range: logsvc.Range{From: uuid7.First(now.Add(-2 * retention)), To: uuid.Max},
		})
		f.must(err)
		slices.Reverse(page.Entries)
		if diff := cmp.Diff(want, page.Entries); diff != "" {
			f.Errorf("request logs of %s (-source +target):\n%s", workspaceID, diff)
		}
	}
}

func (f *fixture) sourceKeys() *authsqlite.Store {
	f.Helper()
	store, err := authsqlite.Open(f.Context(), filepath.Join(f.dir, "auth.db"))
	f.must(err)
	return store
}

func (f *fixture) sourceLogs() *logsqlite.Store {
	f.Helper()
	store, err := logsqlite.Open(f.Context(), filepath.Join(f.dir, "logs.db"))
	f.must(err)
	return store
}

func (f *fixture) targetKeys() *authpostgres.Store {
	f.Helper()
	store, err := authpostgres.Open(f.Context(), f.url)
	f.must(err)
	f.Cleanup(func() { f.must(store.Close()) })
	return store
}

func (f *fixture) targetLogs() *logspostgres.Store {
	f.Helper()
	store, err := logspostgres.Open(f.Context(), f.url)
	f.must(err)
	f.Cleanup(func() { f.must(store.Close()) })
	return store
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}
