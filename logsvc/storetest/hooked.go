package storetest

import (
	"context"

	"github.com/keytrail/keytrail/logsvc"
)

// hooked is a store that calls functions at the moments at which another replica could be at work. Unset ones are not called.
type hooked struct {
	logsvc.Store
	// beforeReplace is called before Replace, and beforeFetch before View and Read. afterReplace is called after Replace, which
	// returns its error.
	beforeReplace, beforeFetch func()
	afterReplace               func() error
	// unlocked gives the lock to everybody.
	unlocked bool
}

func (h *hooked) Replace(ctx context.Context, workspaceID string, change logsvc.Change) error {
	if h.beforeReplace != nil {
		h.beforeReplace()
	}
	err := h.Store.Replace(ctx, workspaceID, change)
	if err == nil && h.afterReplace != nil {
		return h.afterReplace()
	}
	return err
}

func (h *hooked) Read(ctx context.Context, workspaceID string, parts []logsvc.Part) ([][]byte, error) {
	h.fetch()
	return h.Store.Read(ctx, workspaceID, parts)
}

func (h *hooked) View(ctx context.Context, query logsvc.ViewQuery) (logsvc.View, error) {
	h.fetch()
	return h.Store.View(ctx, query)
}

func (h *hooked) fetch() {
	if h.beforeFetch != nil {
		h.beforeFetch()
	}
}

func (h *hooked) TryLock(ctx context.Context, workspaceID string, do func(context.Context) error) (bool, error) {
	if h.unlocked {
		return true, do(ctx)
	}
	return h.Store.TryLock(ctx, workspaceID, do)
}
