package grpcapi

import (
	"cmp"
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/pagetoken"
	"github.com/keytrail/keytrail/internal/wire"
)

const (
	defaultPageSize = 50
	maxPageSize     = 1000
	// maxPageBytes ends a page early: a key with a long allowlist takes about 1 MiB, and a gRPC message holds 4 MiB.
	maxPageBytes = 1 << 20
)

// pageSize returns how many items a request asks for.
func pageSize(asked int32) int { return min(cmp.Or(int(asked), defaultPageSize), maxPageSize) }

type keyServer struct {
	authv1.UnimplementedKeyServiceServer
	keys *authsvc.Keys
}

// CreateKey implements the contract.
func (s keyServer) CreateKey(ctx context.Context, req *authv1.CreateKeyRequest) (*authv1.CreateKeyResponse, error) {
	requestID, err := wire.ParseID("request_id", req.GetRequestId())
	if err != nil {
		return nil, err
	}
	draft := authsvc.Key{WorkspaceID: req.GetWorkspaceId()}
	if err := setFields(&draft, req.GetKey(), inputFields...); err != nil {
		return nil, err
	}
	key, secret, err := s.keys.Create(ctx, draft, requestID)
	if err != nil {
		return nil, err
	}
	return &authv1.CreateKeyResponse{Key: toProto(&key), Secret: secret.Reveal()}, nil
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
	return &authv1.GetKeyResponse{Key: toProto(&key)}, nil
}

// ListKeys implements the contract.
func (s keyServer) ListKeys(ctx context.Context, req *authv1.ListKeysRequest) (*authv1.ListKeysResponse, error) {
	query := authsvc.KeyQuery{
		WorkspaceID: req.GetWorkspaceId(), Limit: pageSize(req.GetPageSize()), Bytes: maxPageBytes,
		Text: req.GetQuery(), ExternalID: req.GetExternalId(), State: authsvc.State(req.GetState()),
	}
	selection := []string{"keys", query.WorkspaceID, query.Text, query.ExternalID, string(query.State)}
	if token := req.GetPageToken(); token != "" {
		var err error
		if query.Before, err = pagetoken.Decode(token, selection...); err != nil {
			return nil, err
		}
	}
	keys, more, err := s.keys.List(ctx, query)
	if err != nil {
		return nil, err
	}
	response := &authv1.ListKeysResponse{}
	for i := range keys {
		response.Keys = append(response.Keys, toProto(&keys[i]))
	}
	if more {
		response.NextPageToken = pagetoken.Encode(keys[len(keys)-1].ID, selection...)
	}
	return response, nil
}

// FindKeys implements the contract.
func (s keyServer) FindKeys(_ context.Context, req *authv1.FindKeysRequest) (*authv1.FindKeysResponse, error) {
	ids := make([]uuid.UUID, len(req.GetKeyIds()))
	for i, text := range req.GetKeyIds() {
		var err error
		if ids[i], err = wire.ParseID(fmt.Sprintf("key_ids[%d]", i), text); err != nil {
			return nil, err
		}
	}
	response := &authv1.FindKeysResponse{}
	for _, id := range s.keys.Find(req.GetWorkspaceId(), ids) {
		response.KeyIds = append(response.KeyIds, id.String())
	}
	return response, nil
}

// UpdateKey implements the contract.
func (s keyServer) UpdateKey(ctx context.Context, req *authv1.UpdateKeyRequest) (*authv1.UpdateKeyResponse, error) {
	fields, err := fieldsOfMask(req.GetUpdateMask().GetPaths())
	if err != nil {
		return nil, err
	}
	key, err := s.update(ctx, req, req.GetKey().GetEtag(), func(k *authsvc.Key) error { return setFields(k, req.GetKey(), fields...) })
	return &authv1.UpdateKeyResponse{Key: key}, err
}

// AddKeyAgents implements the contract.
func (s keyServer) AddKeyAgents(ctx context.Context, req *authv1.AddKeyAgentsRequest) (*authv1.AddKeyAgentsResponse, error) {
	key, err := s.update(ctx, req, "", func(k *authsvc.Key) error { return k.AddAgents(req.GetAgentIds()) })
	return &authv1.AddKeyAgentsResponse{Key: key}, err
}

// RemoveKeyAgents implements the contract.
func (s keyServer) RemoveKeyAgents(ctx context.Context, req *authv1.RemoveKeyAgentsRequest) (*authv1.RemoveKeyAgentsResponse, error) {
	key, err := s.update(ctx, req, "", func(k *authsvc.Key) error { return k.RemoveAgents(req.GetAgentIds()) })
	return &authv1.RemoveKeyAgentsResponse{Key: key}, err
}

// update changes the key that a request names.
func (s keyServer) update(ctx context.Context, req interface {
	GetWorkspaceId() string
	GetKeyId() string
}, etag string, change func(*authsvc.Key) error) (*authv1.Key, error) {
	id, err := wire.ParseID("key_id", req.GetKeyId())
	if err != nil {
		return nil, err
	}
	key, err := s.keys.Update(ctx, req.GetWorkspaceId(), id, etag, change)
	if err != nil {
		return nil, err
	}
	return toProto(&key), nil
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
	grace := authsvc.DefaultGrace
	if req.GetGracePeriod() != nil {
		grace = req.GetGracePeriod().AsDuration()
	}
	key, secret, err := s.keys.Rotate(ctx, req.GetWorkspaceId(), id, grace, requestID)
	if err != nil {
		return nil, err
	}
	return &authv1.RotateKeyResponse{Key: toProto(&key), Secret: secret.Reveal()}, nil
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
	response := &authv1.GetCatalogResponse{}
	for _, d := range authsvc.Denials() {
		code := &authv1.ErrorCode{Code: string(d.Code), HttpStatus: int32(d.HTTPStatus), Message: d.Message, Fix: d.Fix}
		for _, c := range d.Causes {
			code.Causes = append(code.Causes, &authv1.ErrorCause{Cause: string(c.Cause), Fix: c.Fix})
		}
		response.ErrorCodes = append(response.ErrorCodes, code)
	}
	for _, t := range s.keys.AgentTypes() {
		response.AgentTypes = append(response.AgentTypes, &authv1.AgentType{AgentType: t.Name, Label: t.Label})
	}
	return response, nil
}
