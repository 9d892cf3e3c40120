package authsvc

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// DefaultGrace is how long the earlier secrets live on after a rotation.
const DefaultGrace = 24 * time.Hour

// Keys manages the keys of workspaces. A change is in force on this replica's keyring when the method returns without an
// error, but for a new secret, which may take a second. It is safe for concurrent use.
type Keys struct {
	store      Store
	keyring    *Keyring
	agentTypes AgentTypes
	now        func() time.Time
}

// NewKeys makes the manager of keys.
func NewKeys(store Store, keyring *Keyring, agentTypes AgentTypes, now func() time.Time) *Keys {
	return &Keys{store: store, keyring: keyring, agentTypes: agentTypes, now: now}
}

// AgentTypes returns the catalog.
func (k *Keys) AgentTypes() AgentTypes { return k.agentTypes }

// Create makes a key of draft, and its first secret. A requestID that was used before is an AlreadyExists fault.
func (k *Keys) Create(ctx context.Context, draft Key, requestID uuid.UUID) (Key, PlainSecret, error) {
	now := k.instant()
	if err := k.validate(Key{}, draft); err != nil {
		return Key{}, PlainSecret{}, err
	}
	if past(draft.ExpireTime, now) {
		return Key{}, PlainSecret{}, fault.InvalidField("key.expire_time", "must be in the future")
	}
	secret := NewSecret()
	draft.ID = uuid7.New(now)
	draft.CreateTime, draft.UpdateTime = now, now
	draft.Secrets = []Secret{secret.stored(now)}
	if err := k.store.Create(ctx, draft, Request{requestID, now}); err != nil {
		return Key{}, PlainSecret{}, fmt.Errorf("store a new key: %w", err)
	}
	k.refresh(ctx)
	return draft, secret, nil
}

// Get returns one key.
func (k *Keys) Get(ctx context.Context, workspaceID string, id uuid.UUID) (Key, error) {
	key, err := k.store.Get(ctx, workspaceID, id)
	if err != nil {
		return Key{}, fmt.Errorf("get a key: %w", err)
	}
	return key, nil
}

// List returns the keys that a query selects, newest first. Their state is that of now.
func (k *Keys) List(ctx context.Context, query KeyQuery) ([]Key, error) {
	query.Now = k.now()
	keys, err := k.store.List(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return keys, nil
}

// Update lets change alter what can be changed of a key. An etag that is not the key's is an Aborted fault; an empty one
// is any.
func (k *Keys) Update(ctx context.Context, workspaceID string, id uuid.UUID, etag string, change func(*Key) error) (Key, error) {
	key, err := k.alter(ctx, workspaceID, id, Request{}, func(key *Key) error {
		before := *key
		if err := before.expectETag(etag); err != nil {
			return err
		}
		if err := change(key); err != nil {
			return err
		}
		return k.validate(before, *key)
	})
	if err != nil {
		return Key{}, err
	}
	return key, k.enforce(ctx)
}

// expectETag fails where somebody else has changed the key.
func (k *Key) expectETag(etag string) error {
	if etag == "" || etag == k.ETag() {
		return nil
	}
	return &fault.Error{
		Reason: fault.ETagMismatch, Message: "the key has changed since it was read: read it again",
		Metadata: map[string]string{"etag": k.ETag()},
	}
}

// Rotate gives a key a new secret; the earlier ones live on for the grace period at the most. A requestID that was used
// before is an AlreadyExists fault.
func (k *Keys) Rotate(ctx context.Context, workspaceID string, id uuid.UUID, grace time.Duration, requestID uuid.UUID) (Key, PlainSecret, error) {
	secret := NewSecret()
	key, err := k.alter(ctx, workspaceID, id, Request{requestID, k.instant()}, func(key *Key) error {
		return key.rotate(secret, k.instant(), grace)
	})
	if err != nil {
		return Key{}, PlainSecret{}, err
	}
	if grace > 0 {
		k.refresh(ctx)
		return key, secret, nil
	}
	// Whoever ends a secret at once must know that it is not over yet; the new one can be had by another rotation.
	if err := k.enforce(ctx); err != nil {
		return Key{}, PlainSecret{}, err
	}
	return key, secret, nil
}

// refreshTime is how long a change waits to be in force here, and at most half of the time that the caller has left: a
// caller who has gone would not learn of the new secret, or that the change is stored.
const refreshTime = 2 * time.Second

// refresh puts a new secret in force here. Where that fails, the keyring follows within its interval; an error in
// place of the secret would lose it for good.
func (k *Keys) refresh(ctx context.Context) { _ = k.enforce(ctx) }

// enforce puts a stored change in force here. Where that fails it is an error: whoever revokes a key must not be told
// that it is revoked while it still passes.
func (k *Keys) enforce(ctx context.Context) error {
	wait := refreshTime
	if deadline, limited := ctx.Deadline(); limited {
		wait = min(wait, time.Until(deadline)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if k.keyring.Refresh(ctx) != nil {
		return fault.New(fault.ChangeNotInForce, "the change is stored, but not in force here yet; it will be within a second of the key store being reachable")
	}
	return nil
}

// Delete removes a key and its secrets. The etag is as for Update.
func (k *Keys) Delete(ctx context.Context, workspaceID string, id uuid.UUID, etag string) error {
	err := k.store.Delete(ctx, workspaceID, id, func(key *Key) error { return key.expectETag(etag) })
	if err != nil {
		return fmt.Errorf("delete a key: %w", err)
	}
	return k.enforce(ctx)
}

func (k *Keys) alter(ctx context.Context, workspaceID string, id uuid.UUID, request Request, change func(*Key) error) (Key, error) {
	key, err := k.store.Update(ctx, workspaceID, id, request, func(key *Key) error {
		if err := change(key); err != nil {
			return err
		}
		key.UpdateTime = k.instant()
		return nil
	})
	if err != nil {
		return Key{}, fmt.Errorf("update a key: %w", err)
	}
	return key, nil
}

// instant is now, with the precision that keys keep.
func (k *Keys) instant() time.Time { return k.now().UTC().Truncate(time.Millisecond) }

// maxMetadata is the most bytes of a key's metadata, keys and values together.
const maxMetadata = 4 << 10

// validate checks what has changed of a key, so that one that was valid once, as one with a scope that has left the
// catalog, can still be changed in other ways. Lengths and characters are the contract's.
func (k *Keys) validate(before, key Key) error {
	if key.Name != before.Name || before.Name == "" {
		if strings.TrimSpace(key.Name) == "" {
			return fault.InvalidField("key.name", "must not be empty or blank")
		}
	}
	if len(key.Scopes) == 0 {
		return fault.InvalidField("key.scopes", "must name at least one of %q", k.agentTypes.names())
	}
	for i, scope := range key.Scopes {
		if !k.agentTypes.has(scope) && !slices.Contains(before.Scopes, scope) {
			return unknownAgentType(fmt.Sprintf("key.scopes[%d]", i), scope, k.agentTypes)
		}
	}
	if key.AllAgents == (len(key.AgentIDs) > 0) {
		return fault.InvalidField("key.agent_ids", "set either all_agents or at least one of agent_ids")
	}
	size := 0
	for name, value := range key.Metadata {
		size += len(name) + len(value)
	}
	if size > maxMetadata {
		return fault.InvalidField("key.metadata", "must have at most %d bytes of keys and values together, has %d", maxMetadata, size)
	}
	return nil
}

// MaxAgents is how many agents an allowlist can have.
const MaxAgents = 1000

// addAgents adds agents to the allowlist, each once.
func (k *Key) addAgents(ids []string) error {
	if k.AllAgents {
		return errAllAgents
	}
	for _, id := range ids {
		if !slices.Contains(k.AgentIDs, id) {
			k.AgentIDs = append(k.AgentIDs, id)
		}
	}
	if len(k.AgentIDs) > MaxAgents {
		return fault.New(fault.AgentAccessConflict, "the allowlist would have %d agents; at most %d", len(k.AgentIDs), MaxAgents)
	}
	return nil
}

// removeAgents removes agents from the allowlist.
func (k *Key) removeAgents(ids []string) error {
	if k.AllAgents {
		return errAllAgents
	}
	k.AgentIDs = slices.DeleteFunc(k.AgentIDs, func(id string) bool { return slices.Contains(ids, id) })
	if len(k.AgentIDs) == 0 {
		return fault.New(fault.AgentAccessConflict, "the allowlist would be empty; disable or delete the key, or set all_agents")
	}
	return nil
}

var errAllAgents = fault.New(fault.AgentAccessConflict, "the key may call all agents, and has no allowlist; set agent_ids to give it one")

// rotate puts the new secret first and ends the earlier ones after the grace period, those that do not end sooner.
func (k *Key) rotate(secret PlainSecret, now time.Time, grace time.Duration) error {
	end := now.Add(grace)
	for i := range k.Secrets {
		if s := &k.Secrets[i]; s.ExpireTime.IsZero() || s.ExpireTime.After(end) {
			s.ExpireTime = end
		}
	}
	if len(k.Secrets) >= MaxSecrets {
		last := len(k.Secrets) - 1
		if !past(k.Secrets[last].ExpireTime, now) {
			return fault.New(fault.TooManySecrets, "the key has %d secrets that are still alive; wait for the oldest to expire, or rotate with a shorter grace period", MaxSecrets)
		}
		k.Secrets = k.Secrets[:last]
	}
	k.Secrets = slices.Insert(k.Secrets, 0, secret.stored(now))
	return nil
}
