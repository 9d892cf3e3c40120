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

// DefaultGrace is how long the earlier secrets stay valid after a rotation.
const DefaultGrace = 24 * time.Hour

// Keys manages the keys of workspaces. When a method returns without an error, its change is in force in this replica's
// keyring, except for a new secret, which may take a second. Keys is safe for concurrent use.
type Keys struct {
	store      Store
	keyring    *Keyring
	agentTypes AgentTypes
	quota      Quota
	now        func() time.Time
}

// NewKeys returns a manager of the keys in store. The quota is that of each workspace.
func NewKeys(store Store, keyring *Keyring, agentTypes AgentTypes, quota Quota, now func() time.Time) *Keys {
	return &Keys{store: store, keyring: keyring, agentTypes: agentTypes, quota: quota, now: now}
}

// AgentTypes returns the catalog.
func (k *Keys) AgentTypes() AgentTypes { return k.agentTypes }

// Create stores draft as a new key and returns it with its first secret. A requestID that was used before is an
// AlreadyExists fault, and a key that exceeds the quota of its workspace an Exhausted fault.
func (k *Keys) Create(ctx context.Context, draft Key, requestID uuid.UUID) (Key, PlainSecret, error) {
	now := k.timestamp()
	if err := k.validate(Key{}, draft); err != nil {
		return Key{}, PlainSecret{}, err
	}
	if expired(draft.ExpireTime, now) {
		return Key{}, PlainSecret{}, fault.InvalidField("key.expire_time", "must be in the future")
	}
	secret := NewSecret()
	draft.ID = uuid7.New(now)
	draft.CreateTime, draft.UpdateTime = now, now
	draft.Secrets = []Secret{secret.stored(now)}
	if err := k.store.Create(ctx, draft, Request{ID: requestID, Time: now, Quota: k.quota}); err != nil {
		return Key{}, PlainSecret{}, fmt.Errorf("store a new key: %w", err)
	}
	_ = k.refresh(ctx) // the keyring catches up within its interval; an error would lose the secret
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

// List returns the first keys that a query selects, newest first, and reports whether there are more, as Store.List does. It
// filters by their state now.
func (k *Keys) List(ctx context.Context, query KeyQuery) (keys []Key, more bool, err error) {
	query.Now = k.now()
	keys, more, err = k.store.List(ctx, query)
	if err != nil {
		return nil, false, fmt.Errorf("list keys: %w", err)
	}
	return keys, more, nil
}

// Find returns those of the ids that are keys of the workspace, in their order. It reads the keyring, which may be a second
// behind.
func (k *Keys) Find(workspaceID string, ids []uuid.UUID) []uuid.UUID {
	return k.keyring.keyIDs(workspaceID, ids)
}

// Workspaces returns the first workspaces with keys after another one, ascending, at most limit. It reads the keyring, as Find
// does.
func (k *Keys) Workspaces(after string, limit int) []string {
	return k.keyring.workspacesAfter(after, limit)
}

// Update applies change to a key. An etag that differs from the key's is an Aborted fault; an empty etag matches any. A key
// that grows beyond the quota of its workspace is an Exhausted fault.
func (k *Keys) Update(ctx context.Context, workspaceID string, id uuid.UUID, etag string, change func(*Key) error) (Key, error) {
	key, err := k.update(ctx, workspaceID, id, Request{Quota: k.quota}, func(key *Key) error {
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
	return key, k.refresh(ctx)
}

// expectETag returns an Aborted fault if the key has changed since etag was read.
func (k *Key) expectETag(etag string) error {
	if etag == "" || etag == k.ETag() {
		return nil
	}
	return &fault.Error{
		Reason: fault.ETagMismatch, Message: "the key has changed since it was read: read it again",
		Metadata: map[string]string{"etag": k.ETag()},
	}
}

// Rotate gives a key a new secret. The earlier secrets expire after the grace period at the latest. A requestID that was
// used before is an AlreadyExists fault.
func (k *Keys) Rotate(ctx context.Context, workspaceID string, id uuid.UUID, grace time.Duration, requestID uuid.UUID) (Key, PlainSecret, error) {
	secret := NewSecret()
	key, err := k.update(ctx, workspaceID, id, Request{ID: requestID, Time: k.timestamp()}, func(key *Key) error {
		return key.rotate(secret, k.timestamp(), grace)
	})
	if err != nil {
		return Key{}, PlainSecret{}, err
	}
	// Without a grace period the caller revokes the earlier secrets and must learn if they still pass. Another rotation
	// gives the caller a secret again.
	if err := k.refresh(ctx); err != nil && grace <= 0 {
		return Key{}, PlainSecret{}, err
	}
	return key, secret, nil
}

// refreshTime is how long a change waits until it is in force, and at most half of the time that the caller has left, so
// that the response still reaches the caller.
const refreshTime = 2 * time.Second

// refresh puts a stored change in force on this replica. It fails if it cannot: a caller that revokes a key must not see
// success while the key still passes.
func (k *Keys) refresh(ctx context.Context) error {
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

// Delete removes a key and its secrets. The etag has the meaning that it has in Update.
func (k *Keys) Delete(ctx context.Context, workspaceID string, id uuid.UUID, etag string) error {
	err := k.store.Delete(ctx, workspaceID, id, func(key *Key) error { return key.expectETag(etag) })
	if err != nil {
		return fmt.Errorf("delete a key: %w", err)
	}
	return k.refresh(ctx)
}

func (k *Keys) update(ctx context.Context, workspaceID string, id uuid.UUID, request Request, change func(*Key) error) (Key, error) {
	key, err := k.store.Update(ctx, workspaceID, id, request, func(key *Key) error {
		if err := change(key); err != nil {
			return err
		}
		key.UpdateTime = k.timestamp()
		return nil
	})
	if err != nil {
		return Key{}, fmt.Errorf("update a key: %w", err)
	}
	return key, nil
}

// timestamp returns the current time with the precision of keys.
func (k *Keys) timestamp() time.Time { return k.now().UTC().Truncate(time.Millisecond) }

// maxMetadata is the most bytes of a key's metadata, names and values together.
const maxMetadata = 4 << 10

// validate checks what has changed in a key: a key with a scope that has left the catalog can still be changed in other
// ways. The rules of the contract check lengths and characters.
func (k *Keys) validate(before, key Key) error {
	if strings.TrimSpace(key.Name) == "" && (key.Name != before.Name || before.Name == "") {
		return fault.InvalidField("key.name", "must not be empty or blank")
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

// MaxAgents is the maximum length of an allowlist.
const MaxAgents = 1000

// AddAgents adds agents to the allowlist, without duplicates.
func (k *Key) AddAgents(ids []string) error {
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

// RemoveAgents removes agents from the allowlist.
func (k *Key) RemoveAgents(ids []string) error {
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

// rotate puts the new secret first. The earlier secrets expire after the grace period, or at their own expiry if that is
// sooner.
func (k *Key) rotate(secret PlainSecret, now time.Time, grace time.Duration) error {
	end := now.Add(grace)
	for i := range k.Secrets {
		if s := &k.Secrets[i]; s.ExpireTime.IsZero() || s.ExpireTime.After(end) {
			s.ExpireTime = end
		}
	}
	if len(k.Secrets) >= MaxSecrets {
		last := len(k.Secrets) - 1
		if !expired(k.Secrets[last].ExpireTime, now) {
			return fault.New(fault.TooManySecrets, "the key has %d secrets that are still alive; wait for the oldest to expire, or rotate with a shorter grace period", MaxSecrets)
		}
		k.Secrets = k.Secrets[:last]
	}
	k.Secrets = slices.Insert(k.Secrets, 0, secret.stored(now))
	return nil
}
