package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/keytrail/keytrail/app"
)

type logsExpire struct {
	app.ExpireConfig `embed:""`
}

// Run deletes the days that are confirmed.
func (c *logsExpire) Run(ctx context.Context, to console) error {
	if err := app.ExpireLogs(ctx, c.ExpireConfig); err != nil {
		return err
	}
	_, err := fmt.Fprintf(to.out, "Deleted %d days of request logs.\n", c.ConfirmDays)
	return err
}

type logsResetClock struct {
	app.ClockConfig `embed:""`
}

// Run sets the time of the embedded request logs.
func (c *logsResetClock) Run(ctx context.Context, to console) error {
	if err := app.ResetLogsClock(ctx, c.ClockConfig, time.Now()); err != nil {
		return err
	}
	_, err := fmt.Fprintf(to.out, "The request logs are at %s.\n", c.To.UTC().Format(time.RFC3339))
	return err
}
