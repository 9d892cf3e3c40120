package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keytrail/keytrail/app"
	"github.com/keytrail/keytrail/cli/migrate"
)

type migrateCommand struct {
	From             string        `env:"-" required:"" type:"path" help:"Data folder of a stopped keytrail serve. Its databases are only read."`
	To               string        `env:"KEYTRAIL_DATABASE_URL" required:"" help:"URL of the Postgres database, e.g. postgres://keytrail:password@db:5432/keytrail. Prefer the environment variable, because other users of the machine can see flags."`
	Retention        time.Duration `default:"${retention}" help:"Maximum age of the request logs to copy; at least 1h."`
	app.InsecureFlag `embed:""`
	logFlags         `embed:""`
}

// Validate implements kong's validation.
func (c *migrateCommand) Validate() error { return app.ValidateRetention(c.Retention) }

// Run copies everything, and fails if source and target differ afterwards.
func (c *migrateCommand) Run(ctx context.Context, to console) error {
	if err := app.CheckDatabase("--to", c.To, c.InsecureFlag); err != nil {
		return err
	}
	report, err := migrate.Run(ctx, migrate.Config{
		DataDir: c.From, DatabaseURL: c.To, Retention: c.Retention, Now: time.Now, Log: c.setLogger(to.err),
		Progress: func(text string) { fmt.Fprintln(to.err, text) },
	})
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted; repeat the command to continue")
	}
	if err != nil {
		return err
	}
	if err := printReport(to, report); err != nil {
		return err
	}
	if !report.Equal() {
		return errors.New("source and target differ: rows that the target already has are not overwritten")
	}
	return nil
}

// printReport prints the comparison of source and target.
func printReport(to console, report migrate.Report) error {
	t := newTable(to.out, "WHAT", "WORKSPACE", "SOURCE", "TARGET", "")
	for _, p := range report.Pairs {
		verdict := "equal"
		if !p.Equal {
			verdict = "DIFFERENT"
		}
		t.row(p.What, p.WorkspaceID, fmt.Sprint(p.From), fmt.Sprint(p.To), verdict)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if report.Expired > 0 {
		fmt.Fprintf(to.err, "%d request logs are older than the retention and were not copied.\n", report.Expired)
	}
	return nil
}
