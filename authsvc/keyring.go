package authsvc

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Keyring holds every key of every workspace in memory, so that no check costs a query, whether its secret is known or
// not. It follows a store by revision. It is safe for concurrent use.
type Keyring struct {
	store Store
	now   func() time.Time
	// refreshing admits one refresh at a time, because changes must be applied in the order of their revisions. It is a
	// channel so that a caller can stop waiting for one that hangs.
	refreshing chan struct{}

	mu          sync.RWMutex
	credentials map[Digest]*credential
	digests     map[uuid.UUID][]Digest // of the secrets of each key
	revision    Revision
	refreshed   time.Time
}

// credential is one secret with what a check needs of its key. It is immutable, and shared between goroutines.
//
// A million keys with one secret each take 480 MB, maps included. As whole Key and Secret values they would take 560 MB.
type credential struct {
	keyID            uuid.UUID
	workspaceID      string
	keyName          string
	last4            string
	externalID       string
	metadata         map[string]string
	scopes           []string
	agentIDs         []string
	allAgents        bool
	disabled         bool
	keyExpireTime    time.Time
	secretExpireTime time.Time
}

func newCredential(key *Key, secret *Secret) *credential {
	return &credential{
		keyID: key.ID, workspaceID: key.WorkspaceID, keyName: key.Name, last4: secret.Last4, externalID: key.ExternalID,
		metadata: key.Metadata, scopes: key.Scopes, agentIDs: key.AgentIDs, allAgents: key.AllAgents, disabled: key.Disabled,
		keyExpireTime: key.ExpireTime, secretExpireTime: secret.ExpireTime,
	}
}

// NewKeyring returns an empty keyring; Refresh fills it.
func NewKeyring(store Store, now func() time.Time) *Keyring {
	return &Keyring{
		store: store, now: now, refreshing: make(chan struct{}, 1),
		credentials: map[Digest]*credential{}, digests: map[uuid.UUID][]Digest{},
	}
}

// find returns the secret with this digest, or nil.
func (r *Keyring) find(digest Digest) *credential {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.credentials[digest]
}

// Refresh applies what has changed in the store since the last refresh. When it returns nil, every change that was
// committed before the call is in force. Changes that were applied before an error stay in force, and the next refresh
// continues after them. Refresh ends with ctx, even while it waits for another refresh.
func (r *Keyring) Refresh(ctx context.Context) error {
	select {
	case r.refreshing <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait for another refresh of the keyring: %w", ctx.Err())
	}
	defer func() { <-r.refreshing }()
	began, since := r.now(), r.Stats().Revision
	interned := interner{texts: map[string]string{}, scopes: map[string][]string{}}
	err := r.store.Changes(ctx, since, func(c Change) error {
		interned.intern(&c.Key)
		r.apply(c)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the changes of keys after revision %d: %w", since, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refreshed = began
	return nil
}

// apply puts a change in force.
func (r *Keyring) apply(c Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, digest := range r.digests[c.Key.ID] {
		delete(r.credentials, digest)
	}
	delete(r.digests, c.Key.ID)
	if !c.Deleted {
		digests := make([]Digest, len(c.Key.Secrets))
		for i := range c.Key.Secrets {
			secret := &c.Key.Secrets[i]
			digests[i] = secret.Digest
			r.credentials[secret.Digest] = newCredential(&c.Key, secret)
		}
		r.digests[c.Key.ID] = digests
	}
	r.revision = c.Revision
}

// interner lets keys share equal texts and scopes. It lives for one refresh.
type interner struct {
	texts  map[string]string
	scopes map[string][]string
}

func (n interner) intern(key *Key) {
	key.WorkspaceID = shared(n.texts, key.WorkspaceID, key.WorkspaceID)
	key.Scopes = shared(n.scopes, strings.Join(key.Scopes, " "), key.Scopes)
	for i, id := range key.AgentIDs {
		key.AgentIDs[i] = shared(n.texts, id, id)
	}
}

// shared returns the first value that had this name.
func shared[V any](known map[string]V, name string, value V) V {
	if first, ok := known[name]; ok {
		return first
	}
	known[name] = value
	return value
}

// KeyringStats describes what a keyring holds.
type KeyringStats struct {
	// Keys and Secrets are the numbers of all workspaces together.
	Keys, Secrets int
	// Revision is the newest change that is in force.
	Revision Revision
	// Staleness is how long ago the keyring last knew everything that the store knows; very long before the first refresh.
	Staleness time.Duration
}

// Stats returns what the keyring holds now.
func (r *Keyring) Stats() KeyringStats {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return KeyringStats{Keys: len(r.digests), Secrets: len(r.credentials), Revision: r.revision, Staleness: r.now().Sub(r.refreshed)}
}

// maxRefresh ends a refresh by Follow that hangs: the next one tries a new connection.
const maxRefresh = 30 * time.Second

// Follow refreshes the keyring every interval and whenever wake receives, until ctx ends. It reports failures to failed
// and tries again at the next interval.
func (r *Keyring) Follow(ctx context.Context, interval time.Duration, wake <-chan struct{}, failed func(error)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-wake:
		}
		limited, cancel := context.WithTimeout(ctx, maxRefresh)
		err := r.Refresh(limited)
		cancel()
		if err != nil && ctx.Err() == nil {
			failed(err)
		}
	}
}
