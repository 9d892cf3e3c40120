package authsvc

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestKeyringTellsDigestsOfOneBucketApart(t *testing.T) {
	ring := NewKeyring(nil, func() time.Time { return noon })
	digests := []Digest{{0: 1, 31: 1}, {0: 1, 31: 2}, {0: 1, 8: 1}}
	keys := make([]Key, len(digests))
	for i, digest := range digests {
		if bucket(digest) != bucket(digests[0]) {
			t.Fatalf("digest %d is in another bucket", i)
		}
		keys[i] = Key{ID: uuid.New(), Secrets: []Secret{{Digest: digest}}}
		apply(ring, Change{Revision: Revision(i + 1), Key: keys[i]})
	}
	expectFound(t, ring, digests[0], keys[0].ID)
	expectFound(t, ring, digests[1], keys[1].ID)
	expectFound(t, ring, digests[2], keys[2].ID)
	expectFound(t, ring, Digest{0: 1}, uuid.Nil)

	apply(ring, Change{Revision: 4, Key: Key{ID: keys[1].ID}, Deleted: true})
	expectFound(t, ring, digests[0], keys[0].ID)
	expectFound(t, ring, digests[1], uuid.Nil)
	expectFound(t, ring, digests[2], keys[2].ID)
}

func TestKeyringForgetsAllOfADeletedKey(t *testing.T) {
	ring := NewKeyring(nil, func() time.Time { return noon })
	key := Key{ID: uuid.New(), Secrets: []Secret{{Digest: Digest{1}}, {Digest: Digest{2}}, {Digest: Digest{0: 1, 31: 1}}}}
	apply(ring, Change{Revision: 1, Key: key})
	// A rotation that dropped a secret: the dropped one leads nowhere any more.
	rotated := key
	rotated.Secrets = []Secret{{Digest: Digest{3}}, key.Secrets[0]}
	apply(ring, Change{Revision: 2, Key: rotated})
	expectFound(t, ring, Digest{1}, key.ID)
	expectFound(t, ring, Digest{2}, uuid.Nil)
	expectFound(t, ring, Digest{3}, key.ID)

	apply(ring, Change{Revision: 3, Key: Key{ID: key.ID}, Deleted: true})
	apply(ring, Change{Revision: 4, Key: Key{ID: uuid.New()}, Deleted: true})
	x := ring.index
	if len(x.keys) != 0 || len(x.digests) != 0 || len(x.twins) != 0 || x.slots[0] != nil {
		t.Errorf("an empty keyring holds %d keys, %d buckets and %d with twins", len(x.keys), len(x.digests), len(x.twins))
	}
	apply(ring, Change{Revision: 5, Key: key})
	if len(ring.index.slots) != 1 {
		t.Errorf("one key at a time takes %d slots", len(ring.index.slots))
	}
}

func apply(ring *Keyring, c Change) {
	b := batch{ring: ring, holder: newHolder()}
	b.add(c)
	b.apply()
}

// expectFound expects the key behind a digest; uuid.Nil is none.
func expectFound(t *testing.T, ring *Keyring, digest Digest, want uuid.UUID) {
	t.Helper()
	p, ok := ring.find(digest)
	switch {
	case ok != (want != uuid.Nil):
		t.Errorf("digest %x…%x: found %v", digest[0], digest[31], ok)
	case ok && (p.key.ID != want || p.secret.Digest != digest):
		t.Errorf("digest %x…%x leads to key %v, want %v", digest[0], digest[31], p.key.ID, want)
	}
}
