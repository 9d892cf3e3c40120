package logsvc

import (
	"context"
	"fmt"
)

// Workspaces returns the first workspaces with rows or blocks after another one, ascending, at most limit. Each costs a query.
func (s *Service) Workspaces(ctx context.Context, after string, limit int) (ids []string, err error) {
	for len(ids) < limit {
		if after, err = s.store.NextWorkspace(ctx, after); err != nil {
			return nil, fmt.Errorf("list the workspaces of request logs: %w", err)
		}
		if after == "" {
			break
		}
		ids = append(ids, after)
	}
	return ids, nil
}
