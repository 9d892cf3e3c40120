package grpcapi

import (
	"cmp"
	"context"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// ListLogWorkspaces implements the contract.
func (s server) ListLogWorkspaces(
	ctx context.Context, req *logsv1.ListLogWorkspacesRequest,
) (*logsv1.ListLogWorkspacesResponse, error) {
	limit := min(cmp.Or(int(req.GetPageSize()), defaultPageSize), maxPageSize)
	ids, err := s.logs.Workspaces(ctx, req.GetAfter(), limit)
	if err != nil {
		return nil, err
	}
	return &logsv1.ListLogWorkspacesResponse{WorkspaceIds: ids}, nil
}
