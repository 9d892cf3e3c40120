package authsvc

import (
	"encoding/binary"
	"slices"

	"github.com/google/uuid"
)

// index finds keys by the digests of their secrets. Its maps lead to slots and hold no pointers, and there is one
// entry a secret and one a key with no slice between them: with a million keys every small thing counts, in memory
// and for the garbage collector.
type index struct {
	slots []*held // nil = free
	free  []slot
	keys  map[uuid.UUID]slot
	// digests leads from a bucket to the key that has a secret in it.
	digests map[uint64]slot
	// twins are the other keys of a bucket: hardly ever is there one.
	twins map[uint64][]slot
	// secrets is how many there are of all keys.
	secrets int
}

// slot is where a key is in the index.
type slot uint32

func newIndex() index {
	return index{keys: map[uuid.UUID]slot{}, digests: map[uint64]slot{}, twins: map[uint64][]slot{}}
}

// bucket is what the digests are found by: 8 of the 32 bytes of a SHA-256, so that how long a look-up takes says
// nothing about the stored digests that a caller could use. The whole digest is then compared in constant time.
func bucket(d Digest) uint64 { return binary.LittleEndian.Uint64(d[:]) }

// nobody is compared with where there is no key to compare with.
var nobody = new(held)

// find answers the key that has a secret with this digest, and which of its secrets that is; nil if none has. It
// compares before it knows: see Checker.prove.
func (x *index) find(digest Digest) (*held, int) {
	b, key := bucket(digest), nobody
	at, ok := x.digests[b]
	if ok {
		key = x.slots[at]
	}
	if i := key.proves(digest); i >= 0 && ok {
		return key, i
	}
	for _, at := range x.twins[b] {
		if i := x.slots[at].proves(digest); i >= 0 {
			return x.slots[at], i
		}
	}
	return nil, -1
}

// add puts a key in that is not there.
func (x *index) add(key *held) {
	at := x.place(key)
	x.keys[key.id] = at
	x.secrets += key.secrets()
	for i := range key.secrets() {
		b := bucket(key.secret(i).digest)
		switch first, taken := x.digests[b]; {
		case !taken:
			x.digests[b] = at
		case first != at && !slices.Contains(x.twins[b], at):
			x.twins[b] = append(x.twins[b], at)
		}
	}
}

// place gives a key a slot.
func (x *index) place(key *held) slot {
	if last := len(x.free) - 1; last >= 0 {
		at := x.free[last]
		x.free, x.slots[at] = x.free[:last], key
		return at
	}
	x.slots = append(x.slots, key)
	return slot(len(x.slots) - 1)
}

// remove takes a key and its secrets out, where it is there.
func (x *index) remove(id uuid.UUID) {
	at, ok := x.keys[id]
	if !ok {
		return
	}
	key := x.slots[at]
	delete(x.keys, id)
	x.secrets -= key.secrets()
	for i := range key.secrets() {
		x.clear(bucket(key.secret(i).digest), at)
	}
	x.slots[at], x.free = nil, append(x.free, at)
}

// clear takes a key out of a bucket. A twin takes its place.
func (x *index) clear(b uint64, at slot) {
	all := slices.Clone(x.twins[b])
	if first, taken := x.digests[b]; taken {
		all = slices.Insert(all, 0, first)
	}
	all = slices.DeleteFunc(all, func(other slot) bool { return other == at })
	delete(x.digests, b)
	delete(x.twins, b)
	if len(all) > 0 {
		x.digests[b] = all[0]
	}
	if len(all) > 1 {
		x.twins[b] = all[1:]
	}
}
