package authsvc

import (
	"encoding/binary"
	"slices"

	"github.com/google/uuid"
)

// index finds keys by the digests of their secrets. There is one entry a secret and one a key, and no slice between
// them: with a million keys every small thing counts, in memory and for the garbage collector.
type index struct {
	keys map[uuid.UUID]*held
	// digests leads from a bucket to the key that has a secret in it.
	digests map[uint64]*held
	// twins are the other keys of a bucket: hardly ever is there one.
	twins map[uint64][]*held
}

func newIndex() index {
	return index{keys: map[uuid.UUID]*held{}, digests: map[uint64]*held{}, twins: map[uint64][]*held{}}
}

// bucket is what the digests are found by: 8 of the 32 bytes of a SHA-256, so that how long a look-up takes says
// nothing about the stored digests that a caller could use. The whole digest is then compared in constant time.
func bucket(d Digest) uint64 { return binary.LittleEndian.Uint64(d[:]) }

// find answers the key that has a secret with this digest, and which of its secrets that is.
func (x *index) find(digest Digest) (*held, int) {
	b := bucket(digest)
	if key := x.digests[b]; key != nil {
		if i := key.proves(digest); i >= 0 {
			return key, i
		}
	}
	if len(x.twins) == 0 {
		return nil, -1
	}
	for _, key := range x.twins[b] {
		if i := key.proves(digest); i >= 0 {
			return key, i
		}
	}
	return nil, -1
}

// add puts a key in that is not there.
func (x *index) add(key *held) {
	x.keys[key.id] = key
	for i := range key.secrets() {
		b := bucket(key.secret(i).digest)
		switch first := x.digests[b]; {
		case first == nil:
			x.digests[b] = key
		case first != key && !slices.Contains(x.twins[b], key):
			x.twins[b] = append(x.twins[b], key)
		}
	}
}

// remove takes a key and its secrets out, where it is there.
func (x *index) remove(id uuid.UUID) {
	key := x.keys[id]
	if key == nil {
		return
	}
	delete(x.keys, id)
	for i := range key.secrets() {
		x.clear(bucket(key.secret(i).digest), key)
	}
}

// clear takes a key out of a bucket. A twin takes its place.
func (x *index) clear(b uint64, key *held) {
	all := slices.DeleteFunc(append([]*held{x.digests[b]}, x.twins[b]...), func(k *held) bool { return k == nil || k == key })
	delete(x.digests, b)
	delete(x.twins, b)
	if len(all) > 0 {
		x.digests[b] = all[0]
	}
	if len(all) > 1 {
		x.twins[b] = all[1:]
	}
}
