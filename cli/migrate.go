package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keytrail/keytrail/cli/migrate"
)

type migrateCommand struct {
	From         string        `env:"-" required:"" type:"path" help:"The data folder of a \"keytrail serve\" that is stopped. Its databases are only read."`
	To           string        `env:"KEYTRAIL_DATABASE_URL" required:"" help:"The Postgres database, e.g. postgres://keytrail:password@db:5432/keytrail. In the environment no other process sees its password."`
	Retention    time.Duration `default:"${retention}" help:"How old request logs may be to be moved; at least 1h."`
	insecureFlag `embed:""`
	logFlags     `embed:""`
}

// Validate says which setting is wrong and why.
func (c *migrateCommand) Validate() error { return validateRetention(c.Retention) }

// Run moves everything, and fails where the two sides are not equal in the end.
func (c *migrateCommand) Run(ctx context.Context, to console) error {
	if err := checkDatabase("--to", c.To, c.insecureFlag); err != nil {
		return err
	}
	report, err := migrate.Run(ctx, migrate.Config{
		DataDir: c.From, DatabaseURL: c.To, Retention: c.Retention, Now: time.Now, Log: c.setLogger(to.err),
		Progress: func(text string) { fmt.Fprintln(to.err, text) },
	})
	if err != nil && ctx.Err() != nil {
		return errors.New("broken off; the same command goes on with it")
	}
	if err != nil {
		return err
	}
	if err := printReport(to, report); err != nil {
		return err
	}
	if !report.Equal() {
		return errors.New("source and target differ: a row that is there already is not overwritten")
	}
	return nil
}

// printReport prints what both sides hold.
func printReport(to console, report migrate.Report) error {
	t := newTable(to.out, "WHAT", "WORKSPACE", "SOURCE", "TARGET", "SHA-256", "")
	for _, p := range report.Pairs {
		digest, verdict := fmt.Sprintf("%.8x", p.From.Digest), "equal"
		if !p.Equal() {
			digest, verdict = fmt.Sprintf("%.8x/%.8x", p.From.Digest, p.To.Digest), "DIFFERENT"
		}
		t.row(p.What, p.WorkspaceID, fmt.Sprint(p.From.Count), fmt.Sprint(p.To.Count), digest, verdict)
	}
	if err := t.flush(); err != nil {
		return err
	}
	if report.Expired > 0 {
		fmt.Fprintf(to.err, "%d request logs are older than the retention and were not moved.\n", report.Expired)
	}
	return nil
}
