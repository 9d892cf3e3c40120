package authsvc

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestKeyringForgetsAllOfADeletedKey(t *testing.T) {
	ring := NewKeyring(nil, func() time.Time { return noon })
	key := Key{ID: uuid.New(), Secrets: []Secret{{Digest: Digest{1}}, {Digest: Digest{2}}, {Digest: Digest{0: 1, 31: 1}}}}
	ring.keys.apply(&Change{Revision: 1, Key: key})
	// A rotation that dropped two secrets.
	rotated := key
	rotated.Secrets = []Secret{{Digest: Digest{3}}, key.Secrets[0]}
	ring.keys.apply(&Change{Revision: 2, Key: rotated})
	expectFound(t, ring, Digest{1}, key.ID)
	expectFound(t, ring, Digest{2}, uuid.Nil)
	expectFound(t, ring, Digest{0: 1, 31: 1}, uuid.Nil)
	expectFound(t, ring, Digest{3}, key.ID)

	ring.keys.apply(&Change{Revision: 3, Key: Key{ID: key.ID}, Deleted: true})
	ring.keys.apply(&Change{Revision: 4, Key: Key{ID: uuid.New()}, Deleted: true})
	if len(ring.keys.secrets)+len(ring.keys.credentials)+len(ring.keys.workspaces) != 0 {
		t.Errorf("an empty keyring holds %+v", ring.keys)
	}
}

// TestKeysThatShareADigest has a workspace that was copied in the database, secrets included.
func TestKeysThatShareADigest(t *testing.T) {
	ring := NewKeyring(nil, func() time.Time { return noon })
	original := Key{ID: uuid.New(), WorkspaceID: "acme", Secrets: []Secret{{Digest: Digest{1}}}}
	duplicate := Key{ID: uuid.New(), WorkspaceID: "copy", Secrets: []Secret{{Digest: Digest{1}}, {Digest: Digest{2}}}}
	apply := func(key Key, deleted bool, want uuid.UUID) {
		t.Helper()
		ring.keys.apply(&Change{Key: key, Deleted: deleted})
		expectFound(t, ring, Digest{1}, want)
		ring.position = Position{Revision: 1}
		var file bytes.Buffer
		if _, err := ring.WriteSnapshot(t.Context(), &file, "db", nil); err != nil {
			t.Fatal(err)
		}
		again := NewKeyring(nil, ring.now)
		if _, err := again.ReadSnapshot(bytes.NewReader(file.Bytes()), "db"); err != nil {
			t.Fatal(err)
		}
		expectFound(t, again, Digest{1}, want)
	}
	apply(original, false, original.ID)
	apply(duplicate, false, duplicate.ID)
	apply(original, true, duplicate.ID)
	apply(duplicate, false, duplicate.ID)
	apply(original, false, original.ID)
	apply(original, true, uuid.Nil)
	apply(duplicate, true, uuid.Nil)
	if len(ring.keys.secrets)+len(ring.keys.credentials)+len(ring.keys.workspaces) != 0 {
		t.Errorf("an empty keyring holds %+v", ring.keys)
	}
}

// TestWhatKeysShareIsBounded interns distinct allowlists: what it remembers of them is memory that a load takes besides the keys.
func TestWhatKeysShareIsBounded(t *testing.T) {
	interned := newInterner()
	for i := range maxInterned + 10 {
		key := Key{Scopes: []string{fmt.Sprint("scope", i)}, AgentIDs: []string{fmt.Sprint("agent", i)}}
		interned.intern(&key)
		if key.AgentIDs[0] != fmt.Sprint("agent", i) || key.Scopes[0] != fmt.Sprint("scope", i) {
			t.Fatalf("key %d became %+v", i, key)
		}
	}
	if len(interned.agents) > maxInterned || len(interned.scopes) > maxInterned {
		t.Errorf("it remembers %d agents and %d scopes", len(interned.agents), len(interned.scopes))
	}
}

func TestLookUpAllocatesNothing(t *testing.T) {
	known := knownSecrets[1]
	checker := checkerOf(digestOf(known))
	for _, apiKey := range []string{known, knownSecrets[0], "sk_unknown", ""} {
		if n := testing.AllocsPerRun(100, func() { checker.prove(apiKey) }); n != 0 {
			t.Errorf("the look-up of %q allocates %v times", apiKey, n)
		}
	}
}

// expectFound expects the key that has a digest; uuid.Nil is none.
func expectFound(t *testing.T, ring *Keyring, digest Digest, want uuid.UUID) {
	t.Helper()
	found := ring.find(digest)
	switch {
	case (found != nil) != (want != uuid.Nil):
		t.Errorf("digest %x…%x: found %+v", digest[0], digest[31], found)
	case found != nil && found.keyID != want:
		t.Errorf("digest %x…%x leads to key %v, want %v", digest[0], digest[31], found.keyID, want)
	}
}
