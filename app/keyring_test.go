package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/fault"
)

// lateStore can be reached from the third attempt on.
type lateStore struct {
	authsvc.Store
	attempts int
	tokenKey string
}

func (s *lateStore) TokenKey(context.Context) ([]byte, error) {
	if s.attempts++; s.attempts < 3 {
		return nil, fault.New(fault.StoreUnavailable, "away")
	}
	return []byte(s.tokenKey), nil
}

func TestKeyringFromASnapshotWaitsForItsOwnStore(t *testing.T) {
	for tokenKey, want := range map[string]error{"of the snapshot": nil, "of another database": errOtherDatabase} {
		synctest.Test(t, func(t *testing.T) {
			store := &lateStore{tokenKey: tokenKey}
			k := &keyring{
				Keyring: authsvc.NewKeyring(store, time.Now), config: authConfig{store: store},
				log: slog.New(slog.DiscardHandler), tokenKey: []byte("of the snapshot"),
			}
			if err := k.awaitStore(t.Context()); !errors.Is(err, want) || store.attempts != 3 {
				t.Errorf("token key %s: error %v after %d attempts", tokenKey, err, store.attempts)
			}
		})
	}
}

// changingStore has no keys, but revisions.
type changingStore struct {
	authsvc.Store
	newest authsvc.Position
}

func (s *changingStore) Newest(context.Context, authsvc.Position) (authsvc.Position, bool, error) {
	return s.newest, true, nil
}

func (s *changingStore) ChangesSince(context.Context, authsvc.Position, func(authsvc.Change) error) (authsvc.Position, bool, error) {
	return s.newest, true, nil
}

func TestSnapshotFollowsTheKeyring(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		store := &changingStore{newest: authsvc.Position{Revision: 1, Mark: uuid.New()}}
		k := &keyring{
			Keyring: authsvc.NewKeyring(store, time.Now), config: authConfig{store: store, trailDir: dir, snapshotOf: "db"},
			log: slog.New(slog.DiscardHandler),
		}
		stored := func() authsvc.Revision {
			again := &keyring{Keyring: authsvc.NewKeyring(store, time.Now), config: k.config}
			if err := again.restore(); err != nil {
				t.Fatal(err)
			}
			return again.Stats().Revision
		}
		refresh := func(revision authsvc.Revision) {
			store.newest.Revision = revision
			if err := k.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		refresh(1)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { k.saveSnapshots(ctx) })
		for _, step := range []struct {
			after      time.Duration
			made, want authsvc.Revision
		}{{time.Second, 2, 1}, {minSnapshotPause, 3, 2}, {time.Second, 4, 2}, {minSnapshotPause, 4, 4}, {time.Hour, 5, 4}} {
			<-time.After(step.after)
			synctest.Wait()
			if got := stored(); got != step.want {
				t.Errorf("after %v the snapshot has revision %d, want %d", step.after, got, step.want)
			}
			refresh(step.made)
		}
		cancel()
		running.Wait()
		if got := stored(); got != 5 {
			t.Errorf("after the stop the snapshot has revision %d", got)
		}
	})
}
