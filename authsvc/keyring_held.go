package authsvc

import (
	"bytes"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
)

// held is a key as the keyring keeps it: what a decision and a request log need and no more, in two pieces of
// memory. A million keys weigh 290 bytes each, the index included; as Key and Secret it was 450 bytes in four
// pieces, and loading them took twice the processor time, half of it the garbage collector's. It never changes.
type held struct {
	id       uuid.UUID
	name     string
	common   *common
	agentIDs []string
	expire   instant
	disabled bool
	all      bool // of the agents
	newest   heldSecret
	older    []heldSecret
	// owner is nil for keys that have neither an external id nor metadata.
	owner *owner
}

// owner is what the platform has said of a key's owner.
type owner struct {
	externalID string
	metadata   map[string]string
}

// common is what keys share with others.
type common struct {
	workspaceID string
	scopes      []string
}

// heldSecret is a secret as the keyring keeps it.
type heldSecret struct {
	digest Digest
	expire instant
	last4  [4]byte // zeros behind a shorter one
}

// instant is a time of a key in Unix milliseconds, or never.
type instant int64

const never instant = math.MinInt64

func instantOf(t time.Time) instant {
	if t.IsZero() {
		return never
	}
	return instant(t.UnixMilli())
}

func (i instant) time() time.Time {
	if i == never {
		return time.Time{}
	}
	return time.UnixMilli(int64(i)).UTC()
}

// secrets is the number of the key's secrets; a key has at least one.
func (h *held) secrets() int { return 1 + len(h.older) }

func (h *held) secret(i int) *heldSecret {
	if i == 0 {
		return &h.newest
	}
	return &h.older[i-1]
}

// proves tells which of the key's secrets has the digest, or -1.
func (h *held) proves(digest Digest) int {
	for i := range h.secrets() {
		if h.secret(i).digest.Equal(digest) {
			return i
		}
	}
	return -1
}

// proof is one secret of one key: what a digest leads to. The key is without its secrets, and both are without the
// times of their creation.
type proof struct {
	key    *Key
	secret *Secret
}

// proof makes one for the key's secret i.
func (h *held) proof(i int) proof {
	s := h.secret(i)
	found := &struct {
		key    Key
		secret Secret
	}{
		Key{ID: h.id, WorkspaceID: h.common.workspaceID, Name: h.name, Scopes: h.common.scopes, AllAgents: h.all,
			AgentIDs: h.agentIDs, Disabled: h.disabled, ExpireTime: h.expire.time()},
		Secret{Digest: s.digest, Last4: string(bytes.TrimRight(s.last4[:], "\x00")), ExpireTime: s.expire.time()},
	}
	if h.owner != nil {
		found.key.ExternalID, found.key.Metadata = h.owner.externalID, h.owner.metadata
	}
	return proof{&found.key, &found.secret}
}

// holder makes held keys and lets them share what they have in common. It lives for one refresh: the million keys
// of the first one are worth it, and nothing is kept for the sake of keys that are gone.
type holder struct {
	commons map[string]*common
	words   map[string]string
	scratch []byte
}

func newHolder() *holder { return &holder{commons: map[string]*common{}, words: map[string]string{}} }

// hold makes the held form of a key, which it takes over.
func (n *holder) hold(key Key) *held {
	for i, id := range key.AgentIDs {
		key.AgentIDs[i] = n.word(id)
	}
	h := &held{id: key.ID, name: key.Name, common: n.common(key), agentIDs: key.AgentIDs, expire: instantOf(key.ExpireTime),
		disabled: key.Disabled, all: key.AllAgents}
	for i, s := range key.Secrets {
		kept := heldSecret{digest: s.Digest, expire: instantOf(s.ExpireTime)}
		copy(kept.last4[:], s.Last4)
		if i == 0 {
			h.newest = kept
			continue
		}
		h.older = append(h.older, kept)
	}
	h.older = slices.Clip(h.older)
	if key.ExternalID != "" || len(key.Metadata) > 0 {
		h.owner = &owner{key.ExternalID, key.Metadata}
	}
	return h
}

func (n *holder) word(word string) string {
	if known, ok := n.words[word]; ok {
		return known
	}
	n.words[word] = word
	return word
}

func (n *holder) common(key Key) *common {
	n.scratch = append(n.scratch[:0], key.WorkspaceID...)
	for _, scope := range key.Scopes {
		n.scratch = append(append(n.scratch, ' '), scope...)
	}
	known := n.commons[string(n.scratch)]
	if known == nil || known.workspaceID != key.WorkspaceID || !slices.Equal(known.scopes, key.Scopes) {
		known = &common{key.WorkspaceID, key.Scopes}
		n.commons[string(n.scratch)] = known
	}
	return known
}
