package postgres_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/authsvc/postgres"
	"github.com/keytrail/keytrail/authsvc/storetest"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
	"github.com/keytrail/keytrail/internal/uuid7"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestStore(t *testing.T) {
	storetest.Test(t, func(t *testing.T) authsvc.Store { return openReplicas(t, database(t)) })
}

// replicas distributes the calls of a test over two stores in one database.
type replicas struct {
	stores [2]*postgres.Store
	calls  atomic.Uint32
}

func openReplicas(t *testing.T, url string) *replicas {
	t.Helper()
	return &replicas{stores: [2]*postgres.Store{open(t, url), open(t, url)}}
}

func (r *replicas) next() authsvc.Store { return r.stores[r.calls.Add(1)%2] }

func (r *replicas) Create(ctx context.Context, key authsvc.Key, request authsvc.Request) error {
	return r.next().Create(ctx, key, request)
}

func (r *replicas) Get(ctx context.Context, workspaceID string, id uuid.UUID) (authsvc.Key, error) {
	return r.next().Get(ctx, workspaceID, id)
}

func (r *replicas) List(ctx context.Context, query authsvc.KeyQuery) ([]authsvc.Key, bool, error) {
	return r.next().List(ctx, query)
}

func (r *replicas) Update(ctx context.Context, workspaceID string, id uuid.UUID, request authsvc.Request, change func(*authsvc.Key) error) (authsvc.Key, error) {
	return r.next().Update(ctx, workspaceID, id, request, change)
}

func (r *replicas) Delete(ctx context.Context, workspaceID string, id uuid.UUID, check func(*authsvc.Key) error) error {
	return r.next().Delete(ctx, workspaceID, id, check)
}

func (r *replicas) Changes(ctx context.Context, since authsvc.Revision, apply func(authsvc.Change) error) error {
	return r.next().Changes(ctx, since, apply)
}

func (r *replicas) ChangesSince(ctx context.Context, since authsvc.Position, apply func(authsvc.Change) error) (authsvc.Position, bool, error) {
	return r.next().ChangesSince(ctx, since, apply)
}

func (r *replicas) Newest(ctx context.Context, since authsvc.Position) (authsvc.Position, bool, error) {
	return r.next().Newest(ctx, since)
}

func (r *replicas) TokenKey(ctx context.Context) ([]byte, error) { return r.next().TokenKey(ctx) }

func TestReopenedStoreHoldsEverything(t *testing.T) {
	t.Parallel()
	url := database(t)
	store, err := postgres.Open(t.Context(), url)
	must(t, err)
	kept, deleted := newKey("acme"), newKey("acme")
	must(t, store.Create(t.Context(), kept, authsvc.Request{}))
	must(t, store.Create(t.Context(), deleted, authsvc.Request{}))
	must(t, store.Delete(t.Context(), "acme", deleted.ID, anyKey))
	tokenKey, err := store.TokenKey(t.Context())
	must(t, err)
	must(t, store.Close())

	again := open(t, url)
	key, err := again.Get(t.Context(), "acme", kept.ID)
	must(t, err)
	equal(t, key, kept)
	must(t, again.Changes(t.Context(), 1, func(c authsvc.Change) error {
		equal(t, c, authsvc.Change{Revision: 3, Key: authsvc.Key{ID: deleted.ID}, Deleted: true})
		return nil
	}))
	sameKey, err := again.TokenKey(t.Context())
	must(t, err)
	equal(t, sameKey, tokenKey)
}

func TestTombstoneHoldsNothingPersonal(t *testing.T) {
	t.Parallel()
	url := database(t)
	store, key := open(t, url), newKey("acme")
	must(t, store.Create(t.Context(), key, authsvc.Request{}))
	must(t, store.Delete(t.Context(), "acme", key.ID, anyKey))
	var row string
	must(t, connect(t, url).QueryRow(t.Context(), `SELECT json_build_array(name, name_lower, description, external_id, metadata, scopes, all_agents, agent_ids, disabled,
		expire_time, create_time, update_time, (SELECT count(*) FROM keytrail_auth.secrets))::text
		FROM keytrail_auth.keys`).Scan(&row))
	equal(t, row, `["", "", "", "", "", [], false, [], false, null, null, null, 0]`)
}

// TestEveryUniqueKeyCarriesTheWorkspace checks that the tables can be distributed by workspace. The tables of
// the installation as a whole are exceptions.
func TestEveryUniqueKeyCarriesTheWorkspace(t *testing.T) {
	t.Parallel()
	rows, err := connect(t, database(t)).Query(t.Context(), `SELECT indexdef FROM pg_indexes WHERE schemaname = 'keytrail_auth'
		AND tablename IN ('keys', 'secrets') AND indexdef LIKE '%UNIQUE%' AND indexdef NOT LIKE '%(workspace_id, %'`)
	must(t, err)
	without, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	if len(without) > 0 {
		t.Errorf("without the workspace: %q", without)
	}
}

// database returns the url of a new database with the store's schema.
func database(t *testing.T) string {
	t.Helper()
	return pgtest.Database(t, func(ctx context.Context, url string) error {
		store, err := postgres.Open(ctx, url)
		if err != nil {
			return err
		}
		return store.Close()
	})
}

func open(t *testing.T, url string) *postgres.Store {
	t.Helper()
	store, err := postgres.Open(t.Context(), url)
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	return store
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func newKey(workspaceID string) authsvc.Key {
	now, secret := time.Now().UTC().Truncate(time.Millisecond), authsvc.NewSecret()
	return authsvc.Key{
		ID: uuid7.New(now), WorkspaceID: workspaceID, Name: "name", Description: "d", ExternalID: "e",
		Metadata: map[string]string{"k": "v"}, Scopes: []string{"agent"}, AgentIDs: []string{"a"},
		ExpireTime: now, CreateTime: now, UpdateTime: now, Disabled: true,
		Secrets: []authsvc.Secret{{Digest: secret.Digest(), Last4: secret.Last4(), CreateTime: now}},
	}
}

// anyKey is a check for Delete that accepts every key.
func anyKey(*authsvc.Key) error { return nil }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func rename(name string) func(*authsvc.Key) error {
	return func(key *authsvc.Key) error {
		key.Name = name
		return nil
	}
}
