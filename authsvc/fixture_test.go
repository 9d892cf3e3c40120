package authsvc_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/authsvc/sqlite"
	"github.com/keytrail/keytrail/internal/fault"
)

// fixture is an auth service on SQLite, with a clock that stands still and a trail that records its rows.
type fixture struct {
	clock   *clock
	store   *sqlite.Store
	keyring *authsvc.Keyring
	keys    *authsvc.Keys
	checker *authsvc.Checker
	trail   *rows
}

func newFixture(t *testing.T, changes ...func(*authsvc.CheckerConfig)) *fixture {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "keys.db"))
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	tokenKey, err := store.TokenKey(t.Context())
	must(t, err)
	fx := &fixture{clock: &clock{now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}, store: store, trail: &rows{}}
	fx.keyring = authsvc.NewKeyring(store, fx.clock.Now)
	fx.keys = authsvc.NewKeys(store, fx.keyring, authsvc.DefaultAgentTypes, authsvc.Quota{}, fx.clock.Now)
	config := authsvc.CheckerConfig{
		Keyring: fx.keyring, Trail: fx.trail, TokenKey: tokenKey, AgentTypes: authsvc.DefaultAgentTypes, Now: fx.clock.Now,
	}
	for _, change := range changes {
		change(&config)
	}
	fx.checker, err = authsvc.NewChecker(config)
	must(t, err)
	return fx
}

// checkerOn returns the checker of another replica, with its own keyring.
func (fx *fixture) checkerOn(t *testing.T, keyring *authsvc.Keyring, trail authsvc.Trail) *authsvc.Checker {
	t.Helper()
	tokenKey, err := fx.store.TokenKey(t.Context())
	must(t, err)
	checker, err := authsvc.NewChecker(authsvc.CheckerConfig{
		Keyring: keyring, Trail: trail, TokenKey: tokenKey, AgentTypes: authsvc.DefaultAgentTypes, Now: fx.clock.Now,
	})
	must(t, err)
	return checker
}

// create makes a key of acme that may call every agent, unless change says otherwise.
func (fx *fixture) create(t *testing.T, change func(*authsvc.Key)) (authsvc.Key, authsvc.PlainSecret) {
	t.Helper()
	draft := authsvc.Key{WorkspaceID: "acme", Name: "production", Scopes: []string{"agent"}, AllAgents: true}
	if change != nil {
		change(&draft)
	}
	key, secret, err := fx.keys.Create(t.Context(), draft, uuid.Nil)
	must(t, err)
	return key, secret
}

// check checks a call on an agent of type agent and returns its entry, which must be the one row it appended.
func (fx *fixture) check(t *testing.T, apiKey string, call authsvc.Call) authsvc.Entry {
	t.Helper()
	return fx.decide(t, apiKey, call).Entry
}

// decide is like check, and returns the whole decision.
func (fx *fixture) decide(t *testing.T, apiKey string, call authsvc.Call) authsvc.Decision {
	t.Helper()
	if call.AgentType == "" {
		call.AgentType = "agent"
	}
	before := len(fx.trail.all())
	decision, err := fx.checker.Check(t.Context(), apiKey, call)
	must(t, err)
	appended := fx.trail.all()[before:]
	if len(appended) != 1 || appended[0] != decision.Entry {
		t.Fatalf("the check returned %+v, and appended %+v", decision.Entry, appended)
	}
	return decision
}

// entryOf checks a call and returns its entry.
func entryOf(t *testing.T, checker *authsvc.Checker, apiKey string, call authsvc.Call) (authsvc.Entry, error) {
	t.Helper()
	decision, err := checker.Check(t.Context(), apiKey, call)
	return decision.Entry, err
}

// changing returns a change that never fails.
func changing(change func(*authsvc.Key)) func(*authsvc.Key) error {
	return func(key *authsvc.Key) error {
		change(key)
		return nil
	}
}

// expectCode checks a call of acme with a secret.
func (fx *fixture) expectCode(t *testing.T, secret authsvc.PlainSecret, want authsvc.ErrorCode) {
	t.Helper()
	if got := fx.check(t, secret.Reveal(), authsvc.Call{}).ErrorCode; got != want {
		t.Errorf("the secret %v returned %q, want %q", secret, got, want)
	}
}

// clock stands still until a test moves it.
type clock struct {
	mu   sync.Mutex
	now  time.Time
	tick time.Duration // how far it moves each time it is read
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now
	c.now = now.Add(c.tick)
	return now
}

func (c *clock) move(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}

// rows is a trail that records its rows, or fails.
type rows struct {
	mu     sync.Mutex
	rows   []authsvc.Entry
	broken error
}

func (r *rows) Append(_ context.Context, added ...authsvc.Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil {
		return r.broken
	}
	r.rows = append(r.rows, added...)
	return nil
}

func (r *rows) all() []authsvc.Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]authsvc.Entry(nil), r.rows...)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// expectInvalid checks that an error is about the input in a field.
func expectInvalid(t *testing.T, err error, field string) {
	t.Helper()
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Reason.Kind() != fault.Invalid || f.Field != field || f.Message == "" {
		t.Errorf("error %v, want bad input in %s", err, field)
	}
}

func expectKind(t *testing.T, err error, want fault.Kind) {
	t.Helper()
	if err == nil || fault.KindOf(err) != want {
		t.Errorf("error %v of kind %v, want kind %v", err, fault.KindOf(err), want)
	}
}
