package authsvc_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/fault"
)

func TestStoredChangeThatIsNotInForceYetIsNoSuccess(t *testing.T) {
	fx := newFixture(t)
	key, _ := fx.create(t, nil)
	store := &brokenStore{Store: fx.store}
	keys := authsvc.NewKeys(store, authsvc.NewKeyring(store, fx.clock.Now), authsvc.DefaultAgentTypes, authsvc.Quota{}, fx.clock.Now)
	store.broken.Store(true)
	_, updated := keys.Update(t.Context(), "acme", key.ID, "", changing(func(k *authsvc.Key) { k.Disabled = true }))
	got, err := keys.Get(t.Context(), "acme", key.ID)
	must(t, err)
	if !got.Disabled {
		t.Error("the change is not stored")
	}
	_, secret, rotated := keys.Rotate(t.Context(), "acme", key.ID, 0, uuid.Nil)
	if secret.Reveal() != "" {
		t.Error("a rotation that failed returns a secret")
	}
	if _, secret, err := keys.Rotate(t.Context(), "acme", key.ID, time.Hour, uuid.Nil); err != nil || secret.Reveal() == "" {
		t.Errorf("a rotation with a grace period, where the keyring is not refreshed: %v", err)
	}
	deleted := keys.Delete(t.Context(), "acme", key.ID, "")
	for _, err := range []error{updated, rotated, deleted} {
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Reason != fault.ChangeNotInForce || !strings.Contains(err.Error(), "is stored") {
			t.Errorf("error %v, want UNAVAILABLE and that the change is stored", err)
		}
	}
}

// hangingStore hangs when it is read, until the context ends.
type hangingStore struct{ authsvc.Store }

func (s *hangingStore) ChangesSince(ctx context.Context, _ authsvc.Position, _ func(authsvc.Change) error) (authsvc.Position, bool, error) {
	<-ctx.Done()
	return authsvc.Position{}, false, ctx.Err()
}

// memoryStore applies every update.
type memoryStore struct{ authsvc.Store }

func (memoryStore) Update(_ context.Context, _ string, _ uuid.UUID, _ authsvc.Request, change func(*authsvc.Key) error) (authsvc.Key, error) {
	key := authsvc.Key{Name: "n", Scopes: []string{"agent"}, AllAgents: true, Secrets: []authsvc.Secret{{}}}
	return key, change(&key)
}

func TestChangeDoesNotWaitForARefreshThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &hangingStore{memoryStore{}}
		ring := authsvc.NewKeyring(store, time.Now)
		keys := authsvc.NewKeys(store, ring, authsvc.DefaultAgentTypes, authsvc.Quota{}, time.Now)
		hanging, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- ring.Refresh(hanging) }()
		synctest.Wait()

		begun := time.Now()
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := keys.Update(short, "acme", uuid.New(), "", changing(func(k *authsvc.Key) { k.Disabled = true }))
		if fault.KindOf(err) != fault.Unavailable || short.Err() != nil {
			t.Errorf("after %v: %v, want that the change is not in force, before its deadline", time.Since(begun), err)
		}
		_, secret, err := keys.Rotate(short, "acme", uuid.New(), time.Hour, uuid.Nil)
		if err != nil || secret.Reveal() == "" || short.Err() != nil {
			t.Errorf("after %v a rotation returns %v, want its secret before the deadline", time.Since(begun), err)
		}
		begun = time.Now()
		_, secret, err = keys.Rotate(t.Context(), "acme", uuid.New(), time.Hour, uuid.Nil)
		if err != nil || secret.Reveal() == "" || time.Since(begun) > 5*time.Second {
			t.Errorf("after %v a rotation without a deadline returns %v", time.Since(begun), err)
		}
		stop()
		<-ended
	})
}
