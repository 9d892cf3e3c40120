package authsvc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// Keyring holds every key of every workspace in memory, so that no check costs a query, whether its secret is known or
// not. It follows a store by revision. It is safe for concurrent use.
type Keyring struct {
	store Store
	now   func() time.Time
	// refreshing admits one refresh at a time, because changes must be applied in the order of their revisions. It is a
	// channel so that a caller can stop waiting for one that hangs. Its holder may read the keys without mu.
	refreshing chan struct{}
	loading    atomic.Int64

	mu        sync.RWMutex
	keys      keyset
	position  Position // zero before the first load
	refreshed time.Time
}

// NewKeyring returns an empty keyring; Refresh fills it.
func NewKeyring(store Store, now func() time.Time) *Keyring {
	return &Keyring{store: store, now: now, refreshing: make(chan struct{}, 1), keys: newKeyset()}
}

// find returns the secret with this digest, or nil.
func (r *Keyring) find(digest Digest) *credential {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.keys.credentials[digest]
}

// hasKeys reports whether a workspace has a key.
func (r *Keyring) hasKeys(workspaceID string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.keys.workspaces[workspaceID] != nil
}

// keyIDs returns those of the ids that are keys of a workspace, in their order.
func (r *Keyring) keyIDs(workspaceID string, ids []uuid.UUID) (found []uuid.UUID) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, id := range ids {
		if key := r.keys.secrets[id]; key != nil && key.of.id == workspaceID {
			found = append(found, id)
		}
	}
	return found
}

// workspacesAtOnce is how many workspaces are read while changes wait, and with them checks.
const workspacesAtOnce = 1000

// workspacesAfter returns the first workspaces with keys after another one, ascending, at most limit. Those that get their first
// key or lose their last one meanwhile may be missing or not.
func (r *Keyring) workspacesAfter(after string, limit int) []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var first []string
	read, last := 0, "" // no workspace from last on is among the first
	for id := range r.keys.workspaces {
		if read++; read%workspacesAtOnce == 0 {
			r.mu.RUnlock()
			r.mu.RLock()
		}
		if id <= after || last != "" && id >= last {
			continue
		}
		// Sorting at twice the limit costs less than inserting each one.
		if first = append(first, id); len(first) == 2*limit {
			slices.Sort(first)
			first, last = first[:limit], first[limit-1]
		}
	}
	slices.Sort(first)
	return first[:min(limit, len(first))]
}

// errOtherHistory means that the store does not have the position of the keyring.
var errOtherHistory = errors.New("the key store lost revisions that were in force here (failover to a standby that lagged, or " +
	"restore), or this replica did not follow it for a day; the keyring is loaded anew")

const (
	// maxRefresh ends a poll that hangs: the next one tries a new connection.
	maxRefresh = 30 * time.Second
	// maxLoad does the same for the reading of keys: some 100 million.
	maxLoad = 10 * time.Minute
)

// Refresh applies what has changed in the store since the last refresh; the first one loads every key. When it returns nil,
// every change that was committed before the call is in force. When it returns an error, it has applied nothing. While the
// store has another history than the keyring, Refresh fails until Follow has loaded the keys anew. Refresh ends with ctx, even
// while it waits for another refresh.
func (r *Keyring) Refresh(ctx context.Context) error {
	if err := r.admit(ctx); err != nil {
		return err
	}
	defer r.release()
	began, since := r.now(), r.Stats().Position
	if since.Revision == 0 {
		return r.load(ctx, began) // since revision 0 a store omits deletions
	}
	limited, cancel := context.WithTimeout(ctx, maxRefresh)
	newest, follows, err := r.store.Newest(limited, since)
	cancel()
	if err != nil {
		return fmt.Errorf("read the newest revision of keys: %w", err)
	}
	if !follows {
		return errOtherHistory
	}
	var changes []Change
	if newest != since {
		if newest, changes, err = r.changesSince(ctx, since); err != nil {
			return err
		}
	}
	r.apply(changes, newest, began)
	return nil
}

// admit waits for the turn of the caller, who must call release.
func (r *Keyring) admit(ctx context.Context) error {
	select {
	case r.refreshing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for another refresh of the keyring: %w", ctx.Err())
	}
}

func (r *Keyring) release() { <-r.refreshing }

// changesSince returns all changes from a position to the newest one.
func (r *Keyring) changesSince(ctx context.Context, since Position) (newest Position, changes []Change, err error) {
	ctx, cancel := context.WithTimeout(ctx, maxLoad) // an import can be millions of changes
	defer cancel()
	interned := newInterner()
	newest, follows, err := r.store.ChangesSince(ctx, since, func(c Change) error {
		interned.intern(&c.Key)
		changes = append(changes, c)
		return nil
	})
	if err != nil {
		return Position{}, nil, fmt.Errorf("read the changes of keys after revision %d: %w", since.Revision, err)
	}
	if !follows { // the store has failed over since Newest
		return Position{}, nil, errOtherHistory
	}
	return newest, changes, nil
}

// apply puts the changes that lead to a position in force. A change after that position must never be among them: if the
// store lost it later, but still had the position, the keyring would follow from there and keep the change for ever. So the
// changes are collected first: those of a primary that dies while it sends them can be lost.
func (r *Keyring) apply(changes []Change, position Position, refreshed time.Time) {
	for i := range changes {
		// Checks do not wait for more than one change.
		r.mu.Lock()
		r.keys.apply(&changes[i])
		r.mu.Unlock()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.position, r.refreshed = position, refreshed
}

// reload loads every key anew. Checks use the old ones meanwhile, and if it fails.
func (r *Keyring) reload(ctx context.Context) error {
	if err := r.admit(ctx); err != nil {
		return err
	}
	defer r.release()
	return r.load(ctx, r.now())
}

func (r *Keyring) load(ctx context.Context, began time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, maxLoad)
	defer cancel()
	r.loading.Store(0)
	keys, interned, garbage := newKeyset(), newInterner(), newCollector()
	newest, _, err := r.store.ChangesSince(ctx, Position{}, func(c Change) error {
		interned.intern(&c.Key)
		keys.apply(&c)
		garbage.loaded()
		r.loading.Add(1)
		return nil
	})
	if err != nil {
		return fmt.Errorf("load the keys: %w", err)
	}
	r.replace(keys, newest, began)
	return nil
}

// Loading returns how many keys the latest load has read.
func (r *Keyring) Loading() int64 { return r.loading.Load() }

func (r *Keyring) replace(keys keyset, position Position, refreshed time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys, r.position, r.refreshed = keys, position, refreshed
}

// KeyringStats describes what a keyring holds.
type KeyringStats struct {
	// Keys and Secrets are the numbers of all workspaces together.
	Keys, Secrets int
	// Position is how far the store's changes are in force.
	Position
	// Staleness is how long ago the keyring last knew everything that the store knows; very long before the first refresh.
	Staleness time.Duration
}

// Stats returns what the keyring holds now.
func (r *Keyring) Stats() KeyringStats {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return KeyringStats{
		Keys: len(r.keys.secrets), Secrets: len(r.keys.credentials), Position: r.position, Staleness: r.now().Sub(r.refreshed),
	}
}

// Follow refreshes the keyring every interval and whenever wake receives, until ctx ends. If the store has another history,
// it loads the keys anew. It reports failures to failed and tries again at the next interval.
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
		err := r.Refresh(ctx)
		if errors.Is(err, errOtherHistory) {
			failed(err)
			err = r.reload(ctx)
		}
		if err != nil && ctx.Err() == nil {
			failed(err)
		}
	}
}
