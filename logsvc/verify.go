package logsvc

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc/block"
)

// Verified is what Verify has read.
type Verified struct {
	Blocks  int
	Rows    int64
	Damaged int
}

// Verify reads every block of every workspace whole, and reports each damaged one to the searcher's onDamage. Blocks that are
// replaced meanwhile are left out.
func (s *Searcher) Verify(ctx context.Context) (Verified, error) {
	var verified Verified
	for workspaceID := ""; ; {
		var err error
		if workspaceID, err = s.store.NextWorkspace(ctx, workspaceID); err != nil {
			return verified, fmt.Errorf("find the next workspace: %w", err)
		}
		if workspaceID == "" {
			return verified, nil
		}
		if err := s.verifyWorkspace(ctx, workspaceID, &verified); err != nil {
			return verified, fmt.Errorf("verify the blocks of %s: %w", workspaceID, err)
		}
	}
}

func (s *Searcher) verifyWorkspace(ctx context.Context, workspaceID string, verified *Verified) error {
	blocks, err := blocksIn(ctx, s.store, workspaceID, Range{To: uuid.Max})
	if err != nil {
		return err
	}
	for _, b := range blocks {
		_, err := unpack(ctx, s.store, s.decoder, workspaceID, b)
		switch {
		case errors.Is(err, ErrBlockGone):
			continue
		case errors.Is(err, block.ErrDamaged):
			verified.Damaged++
			s.onDamage(workspaceID, b, err)
		case err != nil:
			return err
		}
		verified.Blocks++
		verified.Rows += int64(b.Rows)
	}
	return nil
}
