package authsvc

import "github.com/google/uuid"

// batchSize is how many changes are put in force under one lock: enough that the lock costs nothing, few enough
// that a check waits for microseconds.
const batchSize = 256

// batch gathers changes on their way from the store to the keyring, by ascending revision.
type batch struct {
	ring    *Keyring
	holder  *holder
	changes []heldChange
	newest  Revision
}

// heldChange is a change as the keyring keeps it.
type heldChange struct {
	id  uuid.UUID
	key *held // nil = deleted
}

// add takes a change, and applies the batch when it is full.
func (b *batch) add(c Change) error {
	change := heldChange{id: c.Key.ID}
	if !c.Deleted {
		change.key = b.holder.hold(c.Key)
	}
	b.changes, b.newest = append(b.changes, change), c.Revision
	if len(b.changes) >= batchSize {
		b.apply()
	}
	return nil
}

// apply puts what was gathered in force.
func (b *batch) apply() {
	if len(b.changes) == 0 {
		return
	}
	b.ring.mu.Lock()
	defer b.ring.mu.Unlock()
	for _, c := range b.changes {
		b.ring.index.remove(c.id)
		if c.key != nil {
			b.ring.index.add(c.key)
		}
	}
	b.ring.revision, b.changes = b.newest, b.changes[:0]
}
