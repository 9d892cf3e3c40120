package authsvc

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// index finds keys by the digests of their secrets. A million keys are a million small things to keep: there is one
// entry a secret and one a key, and no slice between them (docs/decisions say what that weighs).
type index struct {
	keys map[uuid.UUID]*Key
	// digests leads from a bucket to the key that has a secret in it.
	digests map[uint64]*Key
	// twins are the other keys of a bucket: hardly ever is there one.
	twins map[uint64][]*Key
}

func newIndex() index {
	return index{keys: map[uuid.UUID]*Key{}, digests: map[uint64]*Key{}, twins: map[uint64][]*Key{}}
}

// proof is one secret of one key: what a digest leads to.
type proof struct {
	key    *Key
	secret *Secret
}

// bucket is what the digests are found by: 8 of the 32 bytes of a SHA-256, so that how long a look-up takes says
// nothing about the stored digests that a caller could use. The whole digest is then compared in constant time.
func bucket(d Digest) uint64 { return binary.LittleEndian.Uint64(d[:]) }

func (x *index) find(digest Digest) (proof, bool) {
	b := bucket(digest)
	if p, ok := x.digests[b].proves(digest); ok || len(x.twins) == 0 {
		return p, ok
	}
	for _, key := range x.twins[b] {
		if p, ok := key.proves(digest); ok {
			return p, true
		}
	}
	return proof{}, false
}

// proves tells which of the key's secrets has the digest; no key has none.
func (k *Key) proves(digest Digest) (proof, bool) {
	if k == nil {
		return proof{}, false
	}
	for i := range k.Secrets {
		if k.Secrets[i].Digest.Equal(digest) {
			return proof{k, &k.Secrets[i]}, true
		}
	}
	return proof{}, false
}

// add puts a key in that is not there.
func (x *index) add(key Key) {
	x.keys[key.ID] = &key
	for i := range key.Secrets {
		b := bucket(key.Secrets[i].Digest)
		switch first := x.digests[b]; {
		case first == nil:
			x.digests[b] = &key
		case first != &key && !slices.Contains(x.twins[b], &key):
			x.twins[b] = append(x.twins[b], &key)
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
	for i := range key.Secrets {
		x.clear(bucket(key.Secrets[i].Digest), key)
	}
}

// clear takes a key out of a bucket. A twin takes its place.
func (x *index) clear(b uint64, key *Key) {
	all := slices.DeleteFunc(append([]*Key{x.digests[b]}, x.twins[b]...), func(k *Key) bool { return k == nil || k == key })
	delete(x.digests, b)
	delete(x.twins, b)
	if len(all) > 0 {
		x.digests[b] = all[0]
	}
	if len(all) > 1 {
		x.twins[b] = all[1:]
	}
}

// interner lets keys share the words that many of them have. It lives for one refresh: the million keys of the
// first one are worth it, and nothing is kept for the sake of keys that are gone.
type interner struct {
	words map[string]string
	lists map[string][]string
}

func newInterner() interner {
	return interner{words: map[string]string{}, lists: map[string][]string{}}
}

// share replaces the words of a key by those of earlier ones.
func (n interner) share(key *Key) {
	key.WorkspaceID = n.word(key.WorkspaceID)
	key.Scopes = n.list(key.Scopes)
	for i, id := range key.AgentIDs {
		key.AgentIDs[i] = n.word(id)
	}
}

func (n interner) word(word string) string {
	if known, ok := n.words[word]; ok {
		return known
	}
	n.words[word] = word
	return word
}

func (n interner) list(words []string) []string {
	joined := strings.Join(words, " ")
	if known, ok := n.lists[joined]; ok && slices.Equal(known, words) {
		return known
	}
	n.lists[joined] = words
	return words
}
