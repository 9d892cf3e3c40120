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

// Keys manages the keys of workspaces. A change is in force on this replica's keyring when the method returns without
// an error.
// It may be used concurrently.
type Keys struct {
	store      Store
	keyring    *Keyring
	agentTypes []string
	now        func() time.Time
}

// NewKeys makes the manager of keys.
func NewKeys(store Store, keyring *Keyring, agentTypes []string, now func() time.Time) *Keys {
	return &Keys{store: store, keyring: keyring, agentTypes: agentTypes, now: now}
}

// Create makes a key with the name, scopes, agent access and expiry of draft, and its first secret.
func (k *Keys) Create(ctx context.Context, draft Key) (Key, PlainSecret, error) {
	now := k.instant()
	if err := k.validate(draft); err != nil {
		return Key{}, PlainSecret{}, err
	}
	if past(draft.ExpireTime, now) {
		return Key{}, PlainSecret{}, fault.InvalidField("expire_time", "must be in the future")
	}
	secret := NewSecret()
	draft.ID = uuid7.New(now)
	draft.CreateTime, draft.UpdateTime = now, now
	draft.Secrets = []Secret{secret.stored(now)}
	if err := k.store.Create(ctx, draft); err != nil {
		return Key{}, PlainSecret{}, fmt.Errorf("store a new key: %w", err)
	}
	k.refresh(ctx)
	return draft, secret, nil
}

// Get answers one key.
func (k *Keys) Get(ctx context.Context, workspaceID string, id uuid.UUID) (Key, error) {
	key, err := k.store.Get(ctx, workspaceID, id)
	if err != nil {
		return Key{}, fmt.Errorf("get a key: %w", err)
	}
	return key, nil
}

// List answers up to limit keys, newest first, those below the id before; zero = from the newest.
func (k *Keys) List(ctx context.Context, workspaceID string, before uuid.UUID, limit int) ([]Key, error) {
	keys, err := k.store.List(ctx, workspaceID, before, limit)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return keys, nil
}

// Update lets change alter name, scopes, agent access, disabled and expiry of a key.
func (k *Keys) Update(ctx context.Context, workspaceID string, id uuid.UUID, change func(*Key)) (Key, error) {
	key, err := k.alter(ctx, workspaceID, id, func(key *Key) error {
		change(key)
		return k.validate(*key)
	})
	if err != nil {
		return Key{}, err
	}
	return key, k.enforce(ctx)
}

// Rotate gives a key a new secret; the earlier ones live on for the grace period at the most.
func (k *Keys) Rotate(ctx context.Context, workspaceID string, id uuid.UUID, grace time.Duration) (Key, PlainSecret, error) {
	secret := NewSecret()
	key, err := k.alter(ctx, workspaceID, id, func(key *Key) error {
		return key.rotate(secret, k.instant(), grace)
	})
	if err != nil {
		return Key{}, PlainSecret{}, err
	}
	k.refresh(ctx)
	return key, secret, nil
}

// refresh puts a new secret in force here. Where that fails, the keyring follows within its interval; an error in
// place of the secret would lose it for good.
func (k *Keys) refresh(ctx context.Context) { _ = k.keyring.Refresh(ctx) }

// enforce puts a stored change in force here. Where that fails it is an error: whoever revokes a key must not be told
// that it is revoked while it still opens doors.
func (k *Keys) enforce(ctx context.Context) error {
	if k.keyring.Refresh(ctx) != nil {
		return fault.New(fault.Unavailable, "the change is stored, but not in force here yet; it will be within a second of the key store being reachable")
	}
	return nil
}

// Delete removes a key and its secrets.
func (k *Keys) Delete(ctx context.Context, workspaceID string, id uuid.UUID) error {
	if err := k.store.Delete(ctx, workspaceID, id); err != nil {
		return fmt.Errorf("delete a key: %w", err)
	}
	return k.enforce(ctx)
}

func (k *Keys) alter(ctx context.Context, workspaceID string, id uuid.UUID, change func(*Key) error) (Key, error) {
	key, err := k.store.Update(ctx, workspaceID, id, func(key *Key) error {
		key.UpdateTime = k.instant()
		return change(key)
	})
	if err != nil {
		return Key{}, fmt.Errorf("update a key: %w", err)
	}
	return key, nil
}

// instant is now, with the precision that keys keep.
func (k *Keys) instant() time.Time { return k.now().UTC().Truncate(time.Millisecond) }

// validate holds what is true of every key, whichever request made it so. Lengths and characters are the contract's.
func (k *Keys) validate(key Key) error {
	if strings.TrimSpace(key.Name) == "" {
		return fault.InvalidField("name", "must not be empty or blank")
	}
	if len(key.Scopes) == 0 {
		return fault.InvalidField("scopes", "must name at least one of %q", k.agentTypes)
	}
	for i, scope := range key.Scopes {
		if !slices.Contains(k.agentTypes, scope) {
			return unknownAgentType(fmt.Sprintf("scopes[%d]", i), scope, k.agentTypes)
		}
	}
	if key.AllAgents == (len(key.AgentIDs) > 0) {
		return fault.InvalidField("agent_ids", "set either all_agents or at least one of agent_ids")
	}
	return nil
}

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
			return fault.New(fault.Precondition, "the key has %d secrets that are still alive; wait for the oldest to expire, or rotate with a shorter grace period", MaxSecrets)
		}
		k.Secrets = k.Secrets[:last]
	}
	k.Secrets = slices.Insert(k.Secrets, 0, secret.stored(now))
	return nil
}
