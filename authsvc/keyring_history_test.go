package authsvc_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/authsvc/sqlite"
	"github.com/keytrail/keytrail/internal/fault"
)

// switchingStore is a database that fails over: to a copy of an earlier state, which has lost what came after.
type switchingStore struct {
	current       atomic.Pointer[sqlite.Store]
	authsvc.Store // unused
	brokenLoad    atomic.Bool
}

func (s *switchingStore) Newest(ctx context.Context, since authsvc.Position) (authsvc.Position, bool, error) {
	return s.current.Load().Newest(ctx, since)
}

func (s *switchingStore) ChangesSince(ctx context.Context, since authsvc.Position, apply func(authsvc.Change) error) (authsvc.Position, bool, error) {
	if since.Revision == 0 && s.brokenLoad.Load() {
		return authsvc.Position{}, false, errors.New("connection lost")
	}
	return s.current.Load().ChangesSince(ctx, since, apply)
}

func (s *switchingStore) Update(ctx context.Context, workspaceID string, id uuid.UUID, request authsvc.Request, change func(*authsvc.Key) error) (authsvc.Key, error) {
	return s.current.Load().Update(ctx, workspaceID, id, request, change)
}

// TestLostRevisionsMakeTheKeyringLoadAnew has the counter end below, at and above the revision that the keyring knows.
func TestLostRevisionsMakeTheKeyringLoadAnew(t *testing.T) {
	for name, madeAnew := range map[string]int{"fewer revisions": 1, "as many revisions": 3, "more revisions": 5} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) { loseRevisions(t, dir, madeAnew) })
		})
	}
}

func loseRevisions(t *testing.T, dir string, madeAnew int) {
	before, err := sqlite.Open(t.Context(), filepath.Join(dir, "before.db"))
	must(t, err)
	defer before.Close()
	after, err := sqlite.Open(t.Context(), filepath.Join(dir, "after.db"))
	must(t, err)
	defer after.Close()
	key, lost := newStoredKey(t), newStoredKey(t)
	must(t, before.Create(t.Context(), key.Key, authsvc.Request{}))
	must(t, after.Create(t.Context(), key.Key, authsvc.Request{}))
	must(t, before.Create(t.Context(), lost.Key, authsvc.Request{}))
	for range 2 {
		_, err := before.Update(t.Context(), "acme", lost.ID, authsvc.Request{}, changing(func(*authsvc.Key) {}))
		must(t, err)
	}

	store := &switchingStore{}
	store.current.Store(before)
	ring := authsvc.NewKeyring(store, time.Now)
	must(t, ring.Refresh(t.Context()))
	checker, err := authsvc.NewChecker(authsvc.CheckerConfig{
		Keyring: ring, Trail: &rows{}, TokenKey: make([]byte, 32), AgentTypes: authsvc.DefaultAgentTypes, Now: time.Now,
	})
	must(t, err)
	keys := authsvc.NewKeys(store, ring, authsvc.DefaultAgentTypes, authsvc.Quota{}, time.Now)

	store.brokenLoad.Store(true)
	store.current.Store(after)
	for range madeAnew {
		_, err := keys.Update(t.Context(), "acme", key.ID, "", changing(func(k *authsvc.Key) { k.Disabled = true }))
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Reason != fault.ChangeNotInForce {
			t.Errorf("a change that is not in force returns %v", err)
		}
	}
	var told []string
	stop := followInBackground(t, ring, func(err error) { told = append(told, err.Error()) })
	defer stop()
	<-time.After(1500 * time.Millisecond)
	synctest.Wait()
	// The load has failed: the old keys stay in use, and are known to be stale.
	expectPasses(t, checker, key.secret, true)
	if age := ring.Stats().Staleness; age < time.Second {
		t.Errorf("a keyring of another history is %v stale", age)
	}
	store.brokenLoad.Store(false)
	<-time.After(time.Second)
	synctest.Wait()
	expectPasses(t, checker, key.secret, false)
	expectPasses(t, checker, lost.secret, false)
	_, err = keys.Update(t.Context(), "acme", key.ID, "", changing(func(k *authsvc.Key) { k.Disabled = false }))
	must(t, err)
	expectPasses(t, checker, key.secret, true)
	if len(told) != 3 || !strings.Contains(told[0], "lost revisions") {
		t.Errorf("told: %q", told)
	}
}

type storedKey struct {
	authsvc.Key
	secret authsvc.PlainSecret
}

// newStoredKey returns a key of acme to put into stores.
func newStoredKey(t *testing.T) storedKey {
	t.Helper()
	secret := authsvc.NewSecret()
	return storedKey{secret: secret, Key: authsvc.Key{
		ID: uuid.New(), WorkspaceID: "acme", Name: "n", Scopes: []string{"agent"}, AllAgents: true,
		Secrets: []authsvc.Secret{{Digest: secret.Digest(), Last4: secret.Last4()}},
	}}
}

// followInBackground runs Follow until the returned function is called, which waits for its end.
func followInBackground(t *testing.T, ring *authsvc.Keyring, failed func(error)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { ring.Follow(ctx, time.Second, nil, failed) })
	return func() { cancel(); running.Wait() }
}
