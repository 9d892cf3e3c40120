package logsvc

import (
	"hash/maphash"

	"github.com/google/uuid"
)

// sentEntries is how many entries a sentCache has room for at least, in about 2 MB. A range that is announced reaches from the
// oldest report of a batch to now: about ten seconds of a busy workspace.
const sentEntries = 20_000

// sentCache knows which entries were sent lately, and how they were then. Its zero value is ready to use.
type sentCache struct {
	seed maphash.Seed
	// recent and older have the hash of each entry. Once recent is full it becomes older.
	recent, older map[uuid.UUID]uint64
}

// changed returns the entries that were not sent as they are now, and remembers them.
func (c *sentCache) changed(entries []*Entry) (changed []*Entry) {
	if c.recent == nil {
		c.seed, c.recent = maphash.MakeSeed(), map[uuid.UUID]uint64{}
	}
	for _, e := range entries {
		hash := maphash.Comparable(c.seed, *e)
		sent, ok := c.recent[e.ID]
		if !ok {
			sent, ok = c.older[e.ID]
		}
		if ok && sent == hash {
			continue
		}
		changed = append(changed, e)
		if len(c.recent) == sentEntries {
			c.recent, c.older = map[uuid.UUID]uint64{}, c.recent
		}
		c.recent[e.ID] = hash
	}
	return changed
}
