package authsvc

import (
	"context"

	"google.golang.org/protobuf/proto"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/pagetoken"
	"github.com/keytrail/keytrail/internal/wire"
)

const (
	// defaultPageSize is how many keys a page has where the request does not say.
	defaultPageSize = 50
	// maxPageSize is the most keys of a page.
	maxPageSize = 1000
	// pageBytes ends a page early. One key can take as much, with a long list of agents; a gRPC message holds 4 MiB.
	pageBytes = 1 << 20
)

type keyServer struct {
	authv1.UnimplementedKeyServiceServer
	keys *Keys
}

// CreateKey implements the contract.
func (s keyServer) CreateKey(ctx context.Context, req *authv1.CreateKeyRequest) (*authv1.CreateKeyResponse, error) {
	requestID, err := wire.ParseID("request_id", req.GetRequestId())
	if err != nil {
		return nil, err
	}
	draft := Key{WorkspaceID: req.GetWorkspaceId()}
	if err := assign(&draft, req.GetKey(), changeable...); err != nil {
		return nil, err
	}
	key, secret, err := s.keys.Create(ctx, draft, requestID)
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
	size := min(int(req.GetPageSize()), maxPageSize)
	if size == 0 {
		size = defaultPageSize
	}
	query := KeyQuery{
		// One more than the page shows whether there is a next one.
		WorkspaceID: req.GetWorkspaceId(), Limit: size + 1,
		Text: req.GetQuery(), ExternalID: req.GetExternalId(), State: State(req.GetState()),
	}
	selection := []string{"keys", query.WorkspaceID, query.Text, query.ExternalID, string(query.State)}
	if token := req.GetPageToken(); token != "" {
		var err error
		if query.Before, err = pagetoken.Decode(token, selection...); err != nil {
			return nil, err
		}
	}
	keys, err := s.keys.List(ctx, query)
	if err != nil {
		return nil, err
	}
	answer := &authv1.ListKeysResponse{Keys: fitting(keys[:min(size, len(keys))])}
	if shown := len(answer.GetKeys()); shown < len(keys) {
		answer.NextPageToken = pagetoken.Encode(keys[shown-1].ID, selection...)
	}
	return answer, nil
}

// fitting returns the first keys that fit into pageBytes together, at least one.
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
	fields, err := masked(req.GetUpdateMask().GetPaths())
	if err != nil {
		return nil, err
	}
	key, err := s.change(ctx, req, req.GetKey().GetEtag(), func(k *Key) error { return assign(k, req.GetKey(), fields...) })
	return &authv1.UpdateKeyResponse{Key: key}, err
}

// AddKeyAgents implements the contract.
func (s keyServer) AddKeyAgents(ctx context.Context, req *authv1.AddKeyAgentsRequest) (*authv1.AddKeyAgentsResponse, error) {
	key, err := s.change(ctx, req, "", func(k *Key) error { return k.addAgents(req.GetAgentIds()) })
	return &authv1.AddKeyAgentsResponse{Key: key}, err
}

// RemoveKeyAgents implements the contract.
func (s keyServer) RemoveKeyAgents(ctx context.Context, req *authv1.RemoveKeyAgentsRequest) (*authv1.RemoveKeyAgentsResponse, error) {
	key, err := s.change(ctx, req, "", func(k *Key) error { return k.removeAgents(req.GetAgentIds()) })
	return &authv1.RemoveKeyAgentsResponse{Key: key}, err
}

// change changes the key that a request names.
func (s keyServer) change(ctx context.Context, req interface {
	GetWorkspaceId() string
	GetKeyId() string
}, etag string, change func(*Key) error) (*authv1.Key, error) {
	id, err := wire.ParseID("key_id", req.GetKeyId())
	if err != nil {
		return nil, err
	}
	key, err := s.keys.Update(ctx, req.GetWorkspaceId(), id, etag, change)
	if err != nil {
		return nil, err
	}
	return key.proto(), nil
}

// RotateKey implements the contract.
func (s keyServer) RotateKey(ctx context.Context, req *authv1.RotateKeyRequest) (*authv1.RotateKeyResponse, error) {
	id, err := wire.ParseID("key_id", req.GetKeyId())
	if err != nil {
		return nil, err
	}
	requestID, err := wire.ParseID("request_id", req.GetRequestId())
	if err != nil {
		return nil, err
	}
	grace := DefaultGrace
	if req.GetGracePeriod() != nil {
		grace = req.GetGracePeriod().AsDuration()
	}
	key, secret, err := s.keys.Rotate(ctx, req.GetWorkspaceId(), id, grace, requestID)
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
	return &authv1.DeleteKeyResponse{}, s.keys.Delete(ctx, req.GetWorkspaceId(), id, req.GetEtag())
}

// GetCatalog implements the contract.
func (s keyServer) GetCatalog(context.Context, *authv1.GetCatalogRequest) (*authv1.GetCatalogResponse, error) {
	answer := &authv1.GetCatalogResponse{}
	for _, d := range Denials() {
		code := &authv1.ErrorCode{Code: string(d.Code), HttpStatus: int32(d.HTTPStatus), Message: d.Message, Fix: d.Fix}
		for _, c := range d.Causes {
			code.Causes = append(code.Causes, &authv1.ErrorCause{Cause: string(c.Cause), Fix: c.Fix})
		}
		answer.ErrorCodes = append(answer.ErrorCodes, code)
	}
	for _, t := range s.keys.AgentTypes() {
		answer.AgentTypes = append(answer.AgentTypes, &authv1.AgentType{AgentType: t.Name, Label: t.Label})
	}
	return answer, nil
}
