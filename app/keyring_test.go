package app

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

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
