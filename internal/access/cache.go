package access

import (
	"crypto/sha256"
	"sync"
)

const (
	// maxCached is the most tokens that are remembered.
	maxCached = 10_000
	// maxCacheTime is after how many seconds a token is verified again at the latest, so that one whose issuer has
	// withdrawn its key does not live on in here.
	maxCacheTime = 300
)

type digest = [sha256.Size]byte

// digestOf names a token. Those of usual length are hashed without an allocation: every check is.
func digestOf(token string) digest {
	var room [768]byte
	return sha256.Sum256(append(room[:0], token...))
}

// cache remembers the tokens that were verified, by their SHA-256. Only good ones get in: whoever has none cannot push
// others out.
type cache struct {
	mu    sync.RWMutex
	known map[digest]cached
}

type cached struct {
	identity *Identity
	until    int64 // seconds since 1970
}

func newCache() *cache { return &cache{known: map[digest]cached{}} }

// get answers a token that was verified within maxCacheTime; it may have expired since.
func (c *cache) get(token digest, now int64) (*Identity, bool) {
	c.mu.RLock()
	found, ok := c.known[token]
	c.mu.RUnlock()
	return found.identity, ok && now < found.until
}

func (c *cache) put(token digest, identity *Identity, now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, again := c.known[token]; !again && len(c.known) >= maxCached {
		c.makeRoom(now)
	}
	c.known[token] = cached{identity: identity, until: now + maxCacheTime}
}

// makeRoom forgets what is of no use any more and, where that is less than a tenth, any others: they are verified again
// when they come. It looks at all of them, and is therefore to be rare.
func (c *cache) makeRoom(now int64) {
	for token, entry := range c.known {
		if entry.until <= now || entry.identity.expires <= now {
			delete(c.known, token)
		}
	}
	for token := range c.known {
		if len(c.known) <= maxCached*9/10 {
			return
		}
		delete(c.known, token)
	}
}
