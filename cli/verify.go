package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keytrail/keytrail/app"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

type logsVerify struct {
	app.VerifyConfig `embed:""`
}

// Run reads every block of request logs, and fails if one is damaged.
func (c *logsVerify) Run(ctx context.Context, to console) error {
	verified, err := app.VerifyLogs(ctx, c.VerifyConfig, func(workspaceID string, b logsvc.Block, err error) {
		fmt.Fprintf(to.out, "%s, block %s: %d rows from %s to %s: %v\n", workspaceID, b.ID, b.Rows,
			uuid7.Time(b.First).Format(time.RFC3339), uuid7.Time(b.Last).Format(time.RFC3339), err)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(to.out, "%d blocks with %d rows, %d of them damaged\n", verified.Blocks, verified.Rows, verified.Damaged)
	if verified.Damaged > 0 {
		return errors.New("there are damaged blocks; docs/operations.md says how to go on without them")
	}
	return nil
}
