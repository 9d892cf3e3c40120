package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/authsvc/postgres"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/testing/pgserver"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
)

// discard is a trail that drops its rows.
type discard struct{}

func (discard) Append(context.Context, ...authsvc.Entry) error { return nil }

// service is what an auth service runs on a store.
type service struct {
	keys    *authsvc.Keys
	ring    *authsvc.Keyring
	checker *authsvc.Checker
}

func serve(t *testing.T, url string) *service {
	t.Helper()
	stores := &replicas{stores: [2]*postgres.Store{open(t, url), open(t, url)}}
	ring := follow(t, stores, func(err error) { t.Log("Follow:", err) })
	checker, err := authsvc.NewChecker(authsvc.CheckerConfig{
		Keyring: ring, Trail: discard{}, TokenKey: make([]byte, 32), AgentTypes: authsvc.DefaultAgentTypes, Now: time.Now,
	})
	must(t, err)
	return &service{keys: authsvc.NewKeys(stores.stores[0], ring, authsvc.DefaultAgentTypes, authsvc.Quota{}, time.Now), ring: ring, checker: checker}
}

func (s *service) create(t *testing.T) (uuid.UUID, authsvc.PlainSecret) {
	t.Helper()
	draft := authsvc.Key{WorkspaceID: "acme", Name: "n", Scopes: []string{"agent"}, AllAgents: true}
	key, secret, err := s.keys.Create(t.Context(), draft, uuid.Nil)
	must(t, err)
	return key.ID, secret
}

func (s *service) expect(t *testing.T, what string, secret authsvc.PlainSecret, want authsvc.ErrorCode) {
	t.Helper()
	decision, err := s.checker.Check(t.Context(), secret.Reveal(), authsvc.Call{AgentType: "agent"})
	must(t, err)
	if decision.Entry.ErrorCode != want {
		t.Errorf("%s: %q, want %q", what, decision.Entry.ErrorCode, want)
	}
}

// TestFailoverToAStandbyThatLagged promotes a standby that misses revisions which the running service has in force.
func TestFailoverToAStandbyThatLagged(t *testing.T) {
	t.Parallel()
	primary := pgtest.Private(t)
	must(t, open(t, primary.URL("postgres")).Close())
	standby, err := primary.Standby(t.Context())
	must(t, err)
	t.Cleanup(func() { must(t, standby.Stop()) })
	fx := serve(t, primary.URLOfEither(standby, "postgres"))
	deleted, deletedSecret := fx.create(t)
	updated, updatedSecret := fx.create(t)
	must(t, standby.Up(t.Context()))
	await(t, "the standby has both keys", func() bool { return revisionOf(t, standby) == 2 })
	must(t, standby.Down(pgserver.Fast))

	// The standby misses this: deletions, updates, and a key.
	must(t, fx.keys.Delete(t.Context(), "acme", deleted, ""))
	for range 8 {
		must(t, fx.update(t, updated, false))
	}
	_, lostSecret := fx.create(t)
	await(t, "the keyring has every change", func() bool { return fx.ring.Stats().Revision == 12 })
	must(t, primary.Down(pgserver.Immediate))
	must(t, standby.Up(t.Context()))
	for range 5 { // the first ones may only notice that the connections of the pool are lost
		if err := fx.ring.Refresh(t.Context()); err == nil || fault.KindOf(err) != fault.Unavailable {
			t.Errorf("a refresh from a standby that is behind returns %v", err)
		}
	}
	_, err = connect(t, standby.URL("postgres")).Exec(t.Context(), `SELECT pg_promote()`)
	must(t, err)

	await(t, "the update is in force again", func() bool {
		err := fx.update(t, updated, true)
		if err != nil && fault.KindOf(err) != fault.Unavailable {
			t.Fatal(err)
		}
		return err == nil
	})
	fx.expect(t, "a key that was disabled after the failover", updatedSecret, authsvc.Disabled)
	fx.expect(t, "a key whose deletion was lost", deletedSecret, "")
	fx.expect(t, "a key that was lost", lostSecret, authsvc.InvalidToken)
	must(t, fx.keys.Delete(t.Context(), "acme", deleted, ""))
	fx.expect(t, "a key that was deleted after the failover", deletedSecret, authsvc.InvalidToken)
}

func (s *service) update(t *testing.T, id uuid.UUID, disabled bool) error {
	_, err := s.keys.Update(t.Context(), "acme", id, "", func(key *authsvc.Key) error {
		key.Disabled = disabled
		return nil
	})
	return err
}

func revisionOf(t *testing.T, server *pgserver.Server) (revision int) {
	t.Helper()
	conn := connect(t, server.URL("postgres"))
	must(t, conn.QueryRow(t.Context(), `SELECT value FROM keytrail_auth.revision`).Scan(&revision))
	must(t, conn.Close(t.Context()))
	return revision
}
