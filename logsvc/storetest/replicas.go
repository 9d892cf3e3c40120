package storetest

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/block"
)

// Replicas returns a store that distributes its calls over two replicas of one store, in turn.
func Replicas(first, second logsvc.Store) logsvc.Store {
	return &replicas{stores: [2]logsvc.Store{first, second}}
}

type replicas struct {
	stores [2]logsvc.Store
	calls  atomic.Uint32
}

func (r *replicas) next() logsvc.Store { return r.stores[r.calls.Add(1)%2] }

func (r *replicas) Record(ctx context.Context, entries []logsvc.Entry) error {
	return r.next().Record(ctx, entries)
}

func (r *replicas) Listen(ctx context.Context, ready func(), announce func(logsvc.Announcement)) error {
	return r.next().Listen(ctx, ready, announce)
}

func (r *replicas) View(ctx context.Context, query logsvc.ViewQuery) (logsvc.View, error) {
	return r.next().View(ctx, query)
}

func (r *replicas) Read(ctx context.Context, workspaceID string, parts []logsvc.Part) ([][]byte, error) {
	return r.next().Read(ctx, workspaceID, parts)
}

func (r *replicas) Tally(
	ctx context.Context, workspaceID string, ids logsvc.Range, add func(block.Group),
) (uuid.UUID, error) {
	return r.next().Tally(ctx, workspaceID, ids, add)
}

func (r *replicas) Oldest(ctx context.Context, workspaceID string, ids logsvc.Range, limit int) ([]logsvc.Entry, error) {
	return r.next().Oldest(ctx, workspaceID, ids, limit)
}

func (r *replicas) Backlog(ctx context.Context, before uuid.UUID, minRows int) ([]logsvc.Backlog, error) {
	return r.next().Backlog(ctx, before, minRows)
}

func (r *replicas) Replace(ctx context.Context, workspaceID string, change logsvc.Change) error {
	return r.next().Replace(ctx, workspaceID, change)
}

func (r *replicas) NextWorkspace(ctx context.Context, after string) (string, error) {
	return r.next().NextWorkspace(ctx, after)
}

func (r *replicas) PurgeRecent(ctx context.Context, workspaceID string, upTo uuid.UUID) (purged int64, more bool, err error) {
	return r.next().PurgeRecent(ctx, workspaceID, upTo)
}

func (r *replicas) TryLock(ctx context.Context, workspaceID string, do func(context.Context) error) (bool, error) {
	return r.next().TryLock(ctx, workspaceID, do)
}

func (r *replicas) Compact(ctx context.Context, before time.Time) error {
	return r.next().Compact(ctx, before)
}

func (r *replicas) Expire(ctx context.Context, before uuid.UUID, maxDays int) (int, error) {
	return r.next().Expire(ctx, before, maxDays)
}
