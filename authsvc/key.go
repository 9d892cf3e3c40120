// Package authsvc is the domain of the auth service: API keys and their secrets, the decision on a call, the
// keyring that makes it fast, and the contract of the stores. It depends on neither SQL nor HTTP nor gRPC.
package authsvc

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Key is an API key of one workspace.
type Key struct {
	ID          uuid.UUID
	WorkspaceID string
	Name        string
	Description string
	// ExternalID is the platform's id of the key's owner.
	ExternalID string
	// Metadata is returned by the checks of the key; nil for none.
	Metadata map[string]string
	// Scopes are the agent types that the key may call.
	Scopes []string
	// AgentIDs and AllAgents are the agent access: exactly one of them is set.
	AgentIDs  []string
	AllAgents bool
	Disabled  bool
	// ExpireTime is when the key expires; zero means never. All times of a key are UTC with ms precision.
	ExpireTime time.Time
	CreateTime time.Time
	UpdateTime time.Time
	// Secrets are newest first, 1 to MaxSecrets.
	Secrets []Secret
}

// MaxSecrets is how many secrets a key can have, expired ones included: a rotation drops the oldest if it has expired.
const MaxSecrets = 10

// Secret is what is stored of a secret of a key.
type Secret struct {
	// Digest is the SHA-256 of the secret's text.
	Digest Digest
	// Last4 are the last 4 characters of the secret's text.
	Last4      string
	CreateTime time.Time
	// ExpireTime is when the secret expires; zero means with the key. A rotation sets it on the earlier secrets.
	ExpireTime time.Time
}

// Last4 returns the last 4 characters of the key's newest secret.
func (k *Key) Last4() string { return k.Secrets[0].Last4 }

// textOverhead is what quotas count for each text beside its bytes: in memory, a text takes its address, its length and
// what the allocator adds. Without it, many short texts would take ten times what a quota allows.
const textOverhead = 32

// Size returns the bytes that quotas and pages count for the key: those of its name, description, external ID, metadata,
// scopes and allowlist in UTF-8, and 32 for each of these texts. Stores keep it with the key, so a release that counts
// differently must count the stored keys again.
func (k *Key) Size() int64 {
	size := len(k.Name) + len(k.Description) + len(k.ExternalID) + 3*textOverhead
	for name, value := range k.Metadata {
		size += len(name) + len(value) + 2*textOverhead
	}
	for _, texts := range [][]string{k.Scopes, k.AgentIDs} {
		for _, text := range texts {
			size += len(text) + textOverhead
		}
	}
	return int64(size)
}

// State says whether a key can be used at all.
type State string

// The states.
const (
	StateEnabled  State = "enabled"
	StateDisabled State = "disabled"
	StateExpired  State = "expired" // and not disabled
)

// ETag returns a digest of everything in the key that can change. It differs after every change, except between changes
// within one millisecond that leave the same key. A secret counts by its last 4 characters and its times, because lists of
// keys are read without digests. A field that a later release adds must not change the digest while it
// is empty, or replicas of two releases would disagree.
func (k *Key) ETag() string {
	digest := sha256.New()
	fmt.Fprintf(digest, "%q %q %q %q %t %q %t %d %d", k.Name, k.Description, k.ExternalID, k.Scopes, k.AllAgents, k.AgentIDs,
		k.Disabled, etagTime(k.ExpireTime), etagTime(k.UpdateTime))
	for _, name := range slices.Sorted(maps.Keys(k.Metadata)) {
		fmt.Fprintf(digest, " %q=%q", name, k.Metadata[name])
	}
	for _, s := range k.Secrets {
		fmt.Fprintf(digest, " %q %d %d", s.Last4, etagTime(s.CreateTime), etagTime(s.ExpireTime))
	}
	return base64.RawURLEncoding.EncodeToString(digest.Sum(nil)[:12])
}

// etagTime returns a time in Unix milliseconds; the smallest number for the zero time.
func etagTime(t time.Time) int64 {
	if t.IsZero() {
		return math.MinInt64
	}
	return t.UnixMilli()
}

// expired reports whether an expiry has been reached; the zero time never is.
func expired(expireTime, now time.Time) bool { return !expireTime.IsZero() && !now.Before(expireTime) }
