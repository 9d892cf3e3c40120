package authsvc

import (
	"sync/atomic"
	"time"
)

// results count what checks answered, by error code; the empty one is of allowed calls. The codes are fixed.
type results map[ErrorCode]*atomic.Int64

func newResults() results {
	all := results{"": new(atomic.Int64)}
	for _, d := range denials {
		all[d.Code] = new(atomic.Int64)
	}
	return all
}

func (r results) count(code ErrorCode) { r[code].Add(1) }

// Results is how many checks were answered since the start, by error code; the empty one is of allowed calls.
func (c *Checker) Results() map[ErrorCode]int64 {
	counted := make(map[ErrorCode]int64, len(c.results))
	for code, n := range c.results {
		counted[code] = n.Load()
	}
	return counted
}

// KeyringStats is what a keyring holds.
type KeyringStats struct {
	// Keys and Secrets are how many there are, of all workspaces.
	Keys, Secrets int
	// Revision is the newest change that is in force.
	Revision Revision
	// Staleness is how long ago the keyring last knew everything that the store knows.
	Staleness time.Duration
}

// Stats answers what the keyring holds now.
func (r *Keyring) Stats() KeyringStats {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return KeyringStats{Keys: len(r.index.keys), Secrets: r.index.secrets, Revision: r.revision, Staleness: r.now().Sub(r.fresh)}
}
