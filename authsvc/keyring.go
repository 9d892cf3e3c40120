package authsvc

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Keyring holds every key of every workspace in memory, so that neither a valid nor an invalid secret costs a
// query. It follows a store by revision. Its methods may be called concurrently.
type Keyring struct {
	store Store
	now   func() time.Time
	// refreshing holds a token while a refresh runs, one at a time: changes must be applied in the order of their
	// revisions. It is a channel, so that whoever waits for one that hangs can give up.
	refreshing chan struct{}

	mu       sync.RWMutex
	index    index
	revision Revision
	fresh    time.Time
}

// NewKeyring makes an empty keyring; Refresh fills it.
func NewKeyring(store Store, now func() time.Time) *Keyring {
	return &Keyring{store: store, now: now, index: newIndex(), refreshing: make(chan struct{}, 1)}
}

// find answers the key and the secret with this digest.
func (r *Keyring) find(digest Digest) (proof, bool) {
	r.mu.RLock()
	key, secret := r.index.find(digest)
	r.mu.RUnlock()
	if key == nil {
		return proof{}, false
	}
	return key.proof(secret), true
}

// Refresh applies what has changed in the store since the last one. When it answers nil, every change that was
// committed before the call is in force. What was applied before an error stays, and the next one goes on from there. It
// ends with ctx, also where another one is under way that hangs.
func (r *Keyring) Refresh(ctx context.Context) error {
	select {
	case r.refreshing <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait for another refresh of the keyring: %w", ctx.Err())
	}
	defer func() { <-r.refreshing }()
	began, since := r.now(), r.seen()
	b := batch{ring: r, holder: newHolder()}
	err := r.store.Changes(ctx, since, b.add)
	b.apply()
	if err != nil {
		return fmt.Errorf("read the changes of keys after revision %d: %w", since, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fresh = began
	return nil
}

// seen is the newest revision that was applied.
func (r *Keyring) seen() Revision {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.revision
}

// Staleness is how long ago the keyring last knew everything that the store knows. Before the first refresh it is
// very long.
func (r *Keyring) Staleness() time.Duration {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.now().Sub(r.fresh)
}

// longestTurn ends a refresh of Follow that hangs, on whatever side: the next turn tries a new connection.
const longestTurn = 30 * time.Second

// Follow refreshes the keyring every interval, and whenever wake says that something changed, until ctx ends.
// Failures are handed to failed, and the next turn tries again.
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
		if err := r.turn(ctx); err != nil && ctx.Err() == nil {
			failed(err)
		}
	}
}

func (r *Keyring) turn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, longestTurn)
	defer cancel()
	return r.Refresh(ctx)
}
