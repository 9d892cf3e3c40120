package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/keytrail/keytrail/logsvc"
	logspostgres "github.com/keytrail/keytrail/logsvc/postgres"
	logssqlite "github.com/keytrail/keytrail/logsvc/sqlite"
)

// VerifyConfig says where the request logs are that are verified.
type VerifyConfig struct {
	DatabaseURL  string `help:"URL of the Postgres database of the log service. Without it the embedded database in --data-dir is read."`
	DataDir      string `default:"${data_dir}" type:"path" help:"Data folder of keytrail serve."`
	InsecureFlag `embed:""`
}

// VerifyLogs reads every sealed block of request logs, and calls onDamage for each damaged one. The service may run meanwhile.
func VerifyLogs(ctx context.Context, config VerifyConfig, onDamage func(workspaceID string, b logsvc.Block, err error)) (verified logsvc.Verified, err error) {
	store, err := config.open(ctx, logssqlite.OpenReadOnly)
	if err != nil {
		return logsvc.Verified{}, fmt.Errorf("open the request logs: %w", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return logsvc.NewSearcher(store, onDamage).Verify(ctx)
}

// logsFile is the embedded database of request logs in a data folder.
const logsFile = "logs.db"

// logsStore is a store with its clock, and with the file or the connections that it owns.
type logsStore interface {
	logsvc.Store
	io.Closer
	Time(ctx context.Context, local time.Time) (time.Time, error)
}

type openFunc func(ctx context.Context, file string) (*logssqlite.Store, error)

// open opens the database of the URL, or without one the embedded database with openFile.
func (c VerifyConfig) open(ctx context.Context, openFile openFunc) (logsStore, error) {
	if c.DatabaseURL == "" {
		return openFile(ctx, filepath.Join(c.DataDir, logsFile))
	}
	if err := CheckDatabase("--database-url", c.DatabaseURL, c.InsecureFlag); err != nil {
		return nil, err
	}
	return logspostgres.Open(ctx, c.DatabaseURL)
}
