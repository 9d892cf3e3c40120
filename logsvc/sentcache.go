package logsvc

import (
	"hash/maphash"

	"github.com/google/uuid"
)

// sentEntries is how many entries a sentCache has room for at least, in up to 10 MB. A range that is announced may reach from the
// oldest report of a batch to now, and what has no room is sent again with each batch: it is a minute of 1,600 calls a second.
const sentEntries = 100_000

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
