package grpcapi

import (
	"context"
	"errors"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/keytrail/keytrail/authsvc"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/fault"
)

type sessionServer struct {
	authv1.UnimplementedSessionServiceServer
	keys *authsvc.Keys
}

// GetSession implements the contract. A page token is the last workspace of the page before.
func (s sessionServer) GetSession(ctx context.Context, req *authv1.GetSessionRequest) (*authv1.GetSessionResponse, error) {
	identity, known := access.FromContext(ctx)
	if !known {
		return nil, errors.New("a session without an identity")
	}
	after, size := req.GetPageToken(), pageSize(req.GetPageSize())
	if after != "" && after != authsvc.Unattributed && !access.ValidWorkspace(after) {
		return nil, fault.InvalidField("page_token", "not a token of this service")
	}
	response := &authv1.GetSessionResponse{
		Role: string(identity.Role), AllWorkspaces: identity.AllWorkspaces(), ExpireTime: timestamppb.New(identity.Expires()),
	}
	switch {
	case !response.AllWorkspaces:
		response.WorkspaceIds = workspacesAfter(identity.Workspaces(), after)
	case identity.Role.Reads():
		response.WorkspaceIds = s.keys.Workspaces(after, size+1)
	}
	if len(response.WorkspaceIds) > size {
		response.WorkspaceIds = response.WorkspaceIds[:size]
		response.NextPageToken = response.WorkspaceIds[size-1]
	}
	return response, nil
}

// workspacesAfter returns those of the workspaces, which are ascending, that come after another one.
func workspacesAfter(ids []string, after string) []string {
	i, found := slices.BinarySearch(ids, after)
	if found {
		i++
	}
	return ids[i:]
}
