package authsvc

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Keyring holds every key of every workspace in memory, so that neither a valid nor an invalid secret costs a
// query. It follows a store by revision. Its methods may be called concurrently.
type Keyring struct {
	store Store
	now   func() time.Time
	// refreshing lets one refresh run at a time: changes must be applied in the order of their revisions.
	refreshing sync.Mutex

	mu       sync.RWMutex
	keys     map[uuid.UUID]*Key
	digests  map[uint64][]proof
	revision Revision
	fresh    time.Time
}

// proof is one secret of one key: what a digest leads to.
type proof struct {
	key    *Key
	secret *Secret
}

// NewKeyring makes an empty keyring; Refresh fills it.
func NewKeyring(store Store, now func() time.Time) *Keyring {
	return &Keyring{store: store, now: now, keys: map[uuid.UUID]*Key{}, digests: map[uint64][]proof{}}
}

// bucket is what the digests are found by: 8 of the 32 bytes of a SHA-256, so that how long a look-up takes says
// nothing about the stored digests that a caller could use. The whole digest is then compared in constant time.
func bucket(d Digest) uint64 { return binary.LittleEndian.Uint64(d[:]) }

// find answers the key and the secret with this digest. Callers must not change them.
func (r *Keyring) find(digest Digest) (proof, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, p := range r.digests[bucket(digest)] {
		if p.secret.Digest.Equal(digest) {
			return p, true
		}
	}
	return proof{}, false
}

// Refresh applies what has changed in the store since the last one. When it answers nil, every change that was
// committed before the call is in force.
func (r *Keyring) Refresh(ctx context.Context) error {
	r.refreshing.Lock()
	defer r.refreshing.Unlock()
	began := r.now()
	r.mu.RLock()
	since := r.revision
	r.mu.RUnlock()
	err := r.store.Changes(ctx, since, func(c Change) error {
		r.apply(c)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the changes of keys after revision %d: %w", since, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fresh = began
	return nil
}

func (r *Keyring) apply(c Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.revision = c.Revision
	if old := r.keys[c.Key.ID]; old != nil {
		r.forget(old)
	}
	if c.Deleted {
		return
	}
	key := &c.Key
	r.keys[key.ID] = key
	for i := range key.Secrets {
		b := bucket(key.Secrets[i].Digest)
		r.digests[b] = append(r.digests[b], proof{key, &key.Secrets[i]})
	}
}

// forget takes a key and its secrets out; the caller holds the lock.
func (r *Keyring) forget(key *Key) {
	delete(r.keys, key.ID)
	for i := range key.Secrets {
		b := bucket(key.Secrets[i].Digest)
		var rest []proof
		for _, p := range r.digests[b] {
			if p.key != key {
				rest = append(rest, p)
			}
		}
		if len(rest) == 0 {
			delete(r.digests, b)
			continue
		}
		r.digests[b] = rest
	}
}

// Staleness is how long ago the keyring last knew everything that the store knows. Before the first refresh it is
// very long.
func (r *Keyring) Staleness() time.Duration {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.now().Sub(r.fresh)
}

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
		if err := r.Refresh(ctx); err != nil && ctx.Err() == nil {
			failed(err)
		}
	}
}
