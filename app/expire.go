package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/keytrail/keytrail/logsvc"
	logssqlite "github.com/keytrail/keytrail/logsvc/sqlite"
)

// ExpireConfig says which request logs are deleted.
type ExpireConfig struct {
	VerifyConfig `embed:""`
	Retention    time.Duration `default:"${retention}" help:"How long request logs are kept; at least 1h. Must be that of the log service."`
	ConfirmDays  int           `env:"-" required:"" help:"How many UTC days are older than the retention. Nothing is deleted if it is another number."`
}

// Validate implements kong's validation.
func (c ExpireConfig) Validate() error {
	if c.ConfirmDays < 1 {
		return fmt.Errorf("--confirm-days: must be at least 1, got %d", c.ConfirmDays)
	}
	return ValidateRetention(c.Retention)
}

// ExpireLogs deletes the request logs that are older than the retention if they are of the number of days that is confirmed. The
// service may run meanwhile.
func ExpireLogs(ctx context.Context, config ExpireConfig) (err error) {
	store, err := config.open(ctx, openExisting)
	if err != nil {
		return fmt.Errorf("open the request logs: %w", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	service := logsvc.NewService(store, logsvc.Config{Retention: config.Retention, Now: time.Now, ReadTime: store.Time})
	return service.ExpireConfirmed(ctx, config.ConfirmDays)
}

// openExisting opens the file of an embedded database, which must exist.
func openExisting(ctx context.Context, file string) (*logssqlite.Store, error) {
	if _, err := os.Stat(file); err != nil {
		return nil, err
	}
	return logssqlite.Open(ctx, file)
}

// ClockConfig says which time the embedded database of request logs gets.
type ClockConfig struct {
	DataDir string    `default:"${data_dir}" type:"path" help:"Data folder of keytrail serve."`
	To      time.Time `env:"-" required:"" help:"The time now, from a clock that you trust, e.g. 2026-11-29T18:00:00Z. The clock of this machine must agree to the minute."`
}

// ResetLogsClock sets the highest time that the embedded request logs have seen. It refuses a time that is not that of this
// machine to the minute. The service may run meanwhile.
func ResetLogsClock(ctx context.Context, config ClockConfig, now time.Time) (err error) {
	if config.To.Sub(now).Abs() > time.Minute {
		return fmt.Errorf("--to: is %s, but the clock of this machine is at %s: set that first",
			config.To.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	store, err := openExisting(ctx, filepath.Join(config.DataDir, logsFile))
	if err != nil {
		return fmt.Errorf("open the request logs: %w", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return store.SetTime(ctx, config.To)
}
