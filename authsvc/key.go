// Package authsvc is the domain of the auth service: API keys and their secrets, the decision on a call, the
// keyring that makes it fast, and the contract of the stores that keep the keys. It knows nothing of SQL or HTTP.
package authsvc

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Key is an API key of one workspace. Values are shared between goroutines: nobody changes one that was handed
// out, a change is a new value.
type Key struct {
	ID          uuid.UUID
	WorkspaceID string
	Name        string
	Description string
	// ExternalID is the owner in the platform's own words.
	ExternalID string
	// Metadata is returned by every allowed check; nil for none.
	Metadata map[string]string
	// Scopes are the agent types that the key may call.
	Scopes []string
	// AllAgents and AgentIDs are the agent access: exactly one of them is set.
	AllAgents bool
	AgentIDs  []string
	Disabled  bool
	// ExpireTime ends the key; zero = never. All times of a key are UTC with ms precision.
	ExpireTime time.Time
	CreateTime time.Time
	UpdateTime time.Time
	// Secrets are newest first, 1 to MaxSecrets.
	Secrets []Secret
}

// MaxSecrets is how many secrets a key can have, dead ones included: the oldest dead one makes room.
const MaxSecrets = 10

// Secret is what is stored of one secret of a key.
type Secret struct {
	// Digest is the SHA-256 of the secret's text.
	Digest Digest
	// Last4 are the last 4 characters of the secret's text.
	Last4      string
	CreateTime time.Time
	// ExpireTime ends this secret; zero = never by itself. A rotation sets it on the earlier ones.
	ExpireTime time.Time
}

// Last4 is what tells the key's newest secret apart.
func (k *Key) Last4() string { return k.Secrets[0].Last4 }

// State says whether a key is good for any call at all.
type State string

// The states.
const (
	StateEnabled  State = "enabled"
	StateDisabled State = "disabled"
	StateExpired  State = "expired" // and not disabled
)

// ETag is a digest of everything in the key that can change. Two changes never leave the same one, but for those that
// leave the same key within one millisecond. A field that a later release adds must leave the digest as it is where the
// field is empty, or replicas of two releases would not agree.
func (k *Key) ETag() string {
	digest := sha256.New()
	fmt.Fprintf(digest, "%q %q %q %q %t %q %t %d %d", k.Name, k.Description, k.ExternalID, k.Scopes, k.AllAgents, k.AgentIDs,
		k.Disabled, instantOf(k.ExpireTime), instantOf(k.UpdateTime))
	for _, name := range slices.Sorted(maps.Keys(k.Metadata)) {
		fmt.Fprintf(digest, " %q=%q", name, k.Metadata[name])
	}
	for _, s := range k.Secrets {
		fmt.Fprintf(digest, " %x %d", s.Digest, instantOf(s.ExpireTime))
	}
	return base64.RawURLEncoding.EncodeToString(digest.Sum(nil)[:12])
}

// past reports whether a moment that ends something has come; the zero time never has.
func past(end, now time.Time) bool { return !end.IsZero() && !now.Before(end) }
