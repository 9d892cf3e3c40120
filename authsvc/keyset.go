package authsvc

import (
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// keyset is what a keyring holds.
type keyset struct {
	credentials map[Digest]*credential
	secrets     map[uuid.UUID]*keySecrets // of each key
	workspaces  map[string]*workspace
}

// keySecrets is where a key is found in a keyset. Maps hold pointers to it: free places in a map are small then.
type keySecrets struct {
	of      *workspace
	digests []Digest
}

// workspace is a workspace that has keys.
type workspace struct {
	id   string // shared by the credentials
	keys int
}

// credential is one secret with what a check needs of its key. It is immutable, and shared between goroutines.
//
// A million keys with one secret each take 480 MB, maps included. As whole Key and Secret values they would take 560 MB.
type credential struct {
	keyID            uuid.UUID
	workspaceID      string
	keyName          string
	last4            string
	externalID       string
	metadata         map[string]string
	scopes           []string
	agentIDs         []string
	allAgents        bool
	disabled         bool
	keyExpireTime    time.Time
	secretExpireTime time.Time
}

func newCredential(key *Key, secret *Secret) *credential {
	return &credential{
		keyID: key.ID, workspaceID: key.WorkspaceID, keyName: key.Name, last4: secret.Last4, externalID: key.ExternalID,
		metadata: key.Metadata, scopes: key.Scopes, agentIDs: key.AgentIDs, allAgents: key.AllAgents, disabled: key.Disabled,
		keyExpireTime: key.ExpireTime, secretExpireTime: secret.ExpireTime,
	}
}

func newKeyset() keyset {
	return keyset{credentials: map[Digest]*credential{}, secrets: map[uuid.UUID]*keySecrets{}, workspaces: map[string]*workspace{}}
}

// apply replaces a key by its state after a change.
func (k *keyset) apply(c *Change) {
	k.remove(c.Key.ID)
	if c.Deleted || len(c.Key.Secrets) == 0 {
		return
	}
	of := k.workspaces[c.Key.WorkspaceID]
	if of == nil {
		of = &workspace{id: c.Key.WorkspaceID}
		k.workspaces[of.id] = of
	}
	of.keys++
	c.Key.WorkspaceID = of.id
	digests := make([]Digest, len(c.Key.Secrets))
	for i := range c.Key.Secrets {
		secret := &c.Key.Secrets[i]
		digests[i] = secret.Digest
		k.credentials[secret.Digest] = newCredential(&c.Key, secret)
	}
	k.secrets[c.Key.ID] = &keySecrets{of, digests}
}

func (k *keyset) remove(id uuid.UUID) {
	secrets := k.secrets[id]
	if secrets == nil {
		return
	}
	if secrets.of.keys--; secrets.of.keys == 0 {
		delete(k.workspaces, secrets.of.id)
	}
	for _, digest := range secrets.digests {
		// Keys that were copied in the database can share a digest: it belongs to the one that was changed last.
		if c := k.credentials[digest]; c != nil && c.keyID == id {
			delete(k.credentials, digest)
		}
	}
	delete(k.secrets, id)
}

// interner lets keys share equal scopes and agent ids. It lives for one refresh.
type interner struct {
	agents map[string]string
	scopes map[string][]string
}

func newInterner() *interner {
	return &interner{agents: map[string]string{}, scopes: map[string][]string{}}
}

// maxInterned bounds what an interner remembers: with distinct allowlists it would otherwise take a fifth of the keyring's
// memory while it loads, and share nothing.
const maxInterned = 1 << 16

func (n *interner) intern(key *Key) {
	key.Scopes = shared(n.scopes, strings.Join(key.Scopes, " "), key.Scopes)
	key.AgentIDs = slices.Clip(key.AgentIDs)
	for i, id := range key.AgentIDs {
		key.AgentIDs[i] = shared(n.agents, id, id)
	}
}

// shared returns the first value that had this name.
func shared[V any](known map[string]V, name string, value V) V {
	if first, ok := known[name]; ok {
		return first
	}
	if len(known) == maxInterned {
		clear(known)
	}
	known[name] = value
	return value
}

// collector runs the garbage collector while a keyring loads. By itself Go would let the heap grow to twice what is in use,
// so that a replica would need twice the memory at its start. The setting for that is global; this is not.
type collector struct {
	keys    int
	samples []metrics.Sample
}

func newCollector() *collector {
	return &collector{samples: []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"}}}
}

const (
	// collectorKeys is how many keys are loaded between two looks at the heap.
	collectorKeys = 1000
	// minGarbage is less than a collection is worth.
	minGarbage = 4 << 20
)

// loaded notes that a key was loaded. It collects when the heap has grown by a sixth since the last collection.
func (c *collector) loaded() {
	if c.keys++; c.keys%collectorKeys != 0 {
		return
	}
	metrics.Read(c.samples)
	heap, live := c.samples[0].Value.Uint64(), c.samples[1].Value.Uint64()
	if heap > live+max(live/6, minGarbage) {
		runtime.GC()
	}
}
