package gateway

import (
	"cmp"
	"context"
	"slices"
	"time"

	"google.golang.org/grpc"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
)

// otherServiceTime is how long a response waits for what another service adds to it.
const otherServiceTime = 3 * time.Second

// The contract's sizes of a page of GetSession, and of ListLogWorkspaces.
const (
	defaultPageSize = 50
	maxPageSize     = 1000
)

// sessionClient adds the workspaces that have request logs to sessions.
type sessionClient struct {
	authv1.SessionServiceClient
	logs logsv1.LogServiceClient
}

// GetSession implements authv1.SessionServiceClient. If the log service cannot be reached, the session has the workspaces that
// have keys.
func (c sessionClient) GetSession(
	ctx context.Context, request *authv1.GetSessionRequest, options ...grpc.CallOption,
) (*authv1.GetSessionResponse, error) {
	session, err := c.SessionServiceClient.GetSession(ctx, request, options...)
	if err != nil || !session.GetAllWorkspaces() || !access.Role(session.GetRole()).Reads() {
		return session, err
	}
	size := min(cmp.Or(int(request.GetPageSize()), defaultPageSize), maxPageSize)
	ctx, cancel := context.WithTimeout(ctx, otherServiceTime)
	defer cancel()
	logged, err := c.logs.ListLogWorkspaces(ctx, &logsv1.ListLogWorkspacesRequest{
		PageSize: int32(size), After: request.GetPageToken(),
	})
	if err != nil {
		return session, nil
	}
	mergeWorkspaces(session, logged.GetWorkspaceIds(), size)
	return session, nil
}

// mergeWorkspaces adds the page of the log service to that of a session. Each of them is full unless it is the last one, so the
// first size workspaces of both together are those of both services.
func mergeWorkspaces(session *authv1.GetSessionResponse, logged []string, size int) {
	ids := slices.Concat(session.GetWorkspaceIds(), logged)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	more := session.GetNextPageToken() != "" || len(logged) == size || len(ids) > size
	session.WorkspaceIds, session.NextPageToken = ids[:min(size, len(ids))], ""
	if more {
		session.NextPageToken = session.GetWorkspaceIds()[len(session.GetWorkspaceIds())-1]
	}
}

// logsClient adds to the keys of request logs whether they exist.
type logsClient struct {
	logsv1.LogServiceClient
	keys authv1.KeyServiceClient
}

// ListLogKeys implements logsv1.LogServiceClient. If the auth service cannot be reached, it is unknown which keys exist.
func (c logsClient) ListLogKeys(
	ctx context.Context, request *logsv1.ListLogKeysRequest, options ...grpc.CallOption,
) (*logsv1.ListLogKeysResponse, error) {
	response, err := c.LogServiceClient.ListLogKeys(ctx, request, options...)
	if err != nil || len(response.GetKeys()) == 0 {
		return response, err
	}
	find := &authv1.FindKeysRequest{WorkspaceId: request.GetWorkspaceId()}
	for _, key := range response.GetKeys() {
		find.KeyIds = append(find.KeyIds, key.GetKeyId())
	}
	ctx, cancel := context.WithTimeout(ctx, otherServiceTime)
	defer cancel()
	found, err := c.keys.FindKeys(ctx, find)
	if err != nil {
		return response, nil
	}
	exists := map[string]bool{}
	for _, id := range found.GetKeyIds() {
		exists[id] = true
	}
	for _, key := range response.GetKeys() {
		key.Exists = new(exists[key.GetKeyId()])
	}
	return response, nil
}
