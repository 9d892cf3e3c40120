package authsvc

import (
	"context"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/pagetoken"
	"github.com/keytrail/keytrail/internal/wire"
)

const (
	// defaultPageSize is how many keys a page has where the request does not say.
	defaultPageSize = 50
	// pageBytes ends a page early. One key can take as much, with a long list of agents; a gRPC message holds 4 MiB.
	pageBytes = 1 << 20
)

type keyServer struct {
	authv1.UnimplementedKeyServiceServer
	keys *Keys
}

// CreateKey implements the contract.
func (s keyServer) CreateKey(ctx context.Context, req *authv1.CreateKeyRequest) (*authv1.CreateKeyResponse, error) {
	expires, err := wire.ParseTime("expire_time", req.GetExpireTime())
	if err != nil {
		return nil, err
	}
	key, secret, err := s.keys.Create(ctx, Key{
		WorkspaceID: req.GetWorkspaceId(), Name: req.GetName(), Scopes: req.GetScopes(),
		AllAgents: req.GetAllAgents(), AgentIDs: req.GetAgentIds(), ExpireTime: expires.Truncate(time.Millisecond),
	})
	if err != nil {
		return nil, err
	}
	return &authv1.CreateKeyResponse{Key: key.proto(), Secret: secret.Reveal()}, nil
}

// GetKey implements the contract.
func (s keyServer) GetKey(ctx context.Context, req *authv1.GetKeyRequest) (*authv1.GetKeyResponse, error) {
	id, err := wire.ParseID("key_id", req.GetKeyId())
	if err != nil {
		return nil, err
	}
	key, err := s.keys.Get(ctx, req.GetWorkspaceId(), id)
	if err != nil {
		return nil, err
	}
	return &authv1.GetKeyResponse{Key: key.proto()}, nil
}

// ListKeys implements the contract.
func (s keyServer) ListKeys(ctx context.Context, req *authv1.ListKeysRequest) (*authv1.ListKeysResponse, error) {
	workspace, size := req.GetWorkspaceId(), int(req.GetPageSize())
	if size == 0 {
		size = defaultPageSize
	}
	var before uuid.UUID
	if token := req.GetPageToken(); token != "" {
		var err error
		if before, err = pagetoken.Decode(token, "keys", workspace); err != nil {
			return nil, err
		}
	}
	// One more than the page tells whether there is a next one.
	keys, err := s.keys.List(ctx, workspace, before, size+1)
	if err != nil {
		return nil, err
	}
	answer := &authv1.ListKeysResponse{Keys: fitting(keys[:min(size, len(keys))])}
	if shown := len(answer.GetKeys()); shown < len(keys) {
		answer.NextPageToken = pagetoken.Encode(keys[shown-1].ID, "keys", workspace)
	}
	return answer, nil
}

// fitting answers the first keys that fit into pageBytes together, at least one.
func fitting(keys []Key) []*authv1.Key {
	page, size := make([]*authv1.Key, 0, len(keys)), 0
	for i := range keys {
		key := keys[i].proto()
		if size += proto.Size(key); i > 0 && size > pageBytes {
			break
		}
		page = append(page, key)
	}
	return page
}

// UpdateKey implements the contract.
func (s keyServer) UpdateKey(ctx context.Context, req *authv1.UpdateKeyRequest) (*authv1.UpdateKeyResponse, error) {
	id, err := wire.ParseID("key_id", req.GetKeyId())
	if err != nil {
		return nil, err
	}
	change, err := masked(req.GetKey(), req.GetUpdateMask().GetPaths())
	if err != nil {
		return nil, err
	}
	key, err := s.keys.Update(ctx, req.GetWorkspaceId(), id, change)
	if err != nil {
		return nil, err
	}
	return &authv1.UpdateKeyResponse{Key: key.proto()}, nil
}

// RotateKey implements the contract.
func (s keyServer) RotateKey(ctx context.Context, req *authv1.RotateKeyRequest) (*authv1.RotateKeyResponse, error) {
	id, err := wire.ParseID("key_id", req.GetKeyId())
	if err != nil {
		return nil, err
	}
	grace := DefaultGrace
	if req.GetGracePeriod() != nil {
		grace = req.GetGracePeriod().AsDuration()
	}
	key, secret, err := s.keys.Rotate(ctx, req.GetWorkspaceId(), id, grace)
	if err != nil {
		return nil, err
	}
	return &authv1.RotateKeyResponse{Key: key.proto(), Secret: secret.Reveal()}, nil
}

// DeleteKey implements the contract.
func (s keyServer) DeleteKey(ctx context.Context, req *authv1.DeleteKeyRequest) (*authv1.DeleteKeyResponse, error) {
	id, err := wire.ParseID("key_id", req.GetKeyId())
	if err != nil {
		return nil, err
	}
	return &authv1.DeleteKeyResponse{}, s.keys.Delete(ctx, req.GetWorkspaceId(), id)
}

// masked makes the change that an update asks for: the fields that the mask names take the values of from.
func masked(from *authv1.Key, paths []string) (func(*Key), error) {
	expires, err := wire.ParseTime("key.expire_time", from.GetExpireTime())
	if err != nil {
		return nil, err
	}
	setters := map[string]func(*Key){
		"name":        func(k *Key) { k.Name = from.GetName() },
		"scopes":      func(k *Key) { k.Scopes = from.GetScopes() },
		"disabled":    func(k *Key) { k.Disabled = from.GetDisabled() },
		"expire_time": func(k *Key) { k.ExpireTime = expires.Truncate(time.Millisecond) },
		"all_agents": func(k *Key) {
			if k.AllAgents = from.GetAllAgents(); k.AllAgents {
				k.AgentIDs = from.GetAgentIds()
			}
		},
		"agent_ids": func(k *Key) {
			if k.AgentIDs = from.GetAgentIds(); len(k.AgentIDs) > 0 {
				k.AllAgents = from.GetAllAgents()
			}
		},
	}
	var chosen []func(*Key)
	for _, path := range paths {
		name := fieldOfKey(path)
		set, ok := setters[name]
		switch {
		case path == "*":
			for _, set := range setters {
				chosen = append(chosen, set)
			}
		case ok:
			chosen = append(chosen, set)
		case !outputOnly[name]:
			return nil, fault.InvalidField("update_mask", "cannot change %q; it may name %s", path, changeable)
		}
	}
	if len(chosen) == 0 {
		return nil, fault.InvalidField("update_mask", "must name at least one of %s", changeable)
	}
	return func(k *Key) {
		for _, set := range chosen {
			set(k)
		}
	}, nil
}

const changeable = "name, scopes, all_agents, agent_ids, disabled and expire_time"

// outputOnly are the fields that a mask may name in vain (AIP-203), so that a key can be sent back as it was answered.
var outputOnly = map[string]bool{
	"id": true, "workspace_id": true, "last4": true, "create_time": true, "update_time": true, "secrets": true,
}

// fieldOfKey is how the contract spells a path of a mask, which may spell it as JSON does.
func fieldOfKey(path string) string {
	if field := (*authv1.Key)(nil).ProtoReflect().Descriptor().Fields().ByJSONName(path); field != nil {
		return string(field.Name())
	}
	return path
}

func (k *Key) proto() *authv1.Key {
	key := &authv1.Key{
		Id: k.ID.String(), WorkspaceId: k.WorkspaceID, Name: k.Name, Last4: k.Last4(), Scopes: k.Scopes,
		AllAgents: k.AllAgents, AgentIds: k.AgentIDs, Disabled: k.Disabled, ExpireTime: wire.Time(k.ExpireTime),
		CreateTime: wire.Time(k.CreateTime), UpdateTime: wire.Time(k.UpdateTime),
	}
	for _, s := range k.Secrets {
		key.Secrets = append(key.Secrets, &authv1.Secret{
			Last4: s.Last4, CreateTime: wire.Time(s.CreateTime), ExpireTime: wire.Time(s.ExpireTime),
		})
	}
	return key
}
