package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	authpostgres "github.com/keytrail/keytrail/authsvc/postgres"
	authsqlite "github.com/keytrail/keytrail/authsvc/sqlite"
	logspostgres "github.com/keytrail/keytrail/logsvc/postgres"
	logsqlite "github.com/keytrail/keytrail/logsvc/sqlite"
	"github.com/keytrail/keytrail/trail"
)

// source is the data folder. While it is open no `keytrail serve` can start on it.
type source struct {
	seal io.Closer
	keys *authsqlite.Store
	logs *logsqlite.Store
}

func openSource(ctx context.Context, dir string, log *slog.Logger) (_ *source, err error) {
	keysFile, logsFile := filepath.Join(dir, "auth.db"), filepath.Join(dir, "logs.db")
	// The seal makes its folder: nothing is made where there is nothing.
	for _, file := range []string{keysFile, logsFile} {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s is not there: is %s the data folder of a `keytrail serve`?", file, dir)
		}
	}
	s := &source{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.seal, err = sealTrail(dir, log); err != nil {
		return nil, err
	}
	if s.keys, err = authsqlite.OpenReadOnly(ctx, keysFile); err != nil {
		return nil, fmt.Errorf("open the source: %w", err)
	}
	if s.logs, err = logsqlite.OpenReadOnly(ctx, logsFile); err != nil {
		return nil, fmt.Errorf("open the source: %w", err)
	}
	return s, nil
}

// sealTrail keeps `keytrail serve` from running meanwhile, and makes sure that every row that was promised is in the
// database.
func sealTrail(dir string, log *slog.Logger) (io.Closer, error) {
	seal, err := trail.Seal(filepath.Join(dir, "trail"), log)
	switch {
	case errors.Is(err, trail.ErrWaiting):
		return nil, fmt.Errorf("%w: start `keytrail serve --data-dir %s` once more, stop it when it is ready, and it stores them", err, dir)
	case err != nil:
		return nil, fmt.Errorf("%w; `keytrail serve` must not run while its data is moved", err)
	}
	return seal, nil
}

func (s *source) close() error {
	var errs []error
	if s.keys != nil {
		errs = append(errs, s.keys.Close())
	}
	if s.logs != nil {
		errs = append(errs, s.logs.Close())
	}
	if s.seal != nil {
		errs = append(errs, s.seal.Close())
	}
	return errors.Join(errs...)
}

// target is the database, with both services' schemas up to date.
type target struct {
	keys *authpostgres.Store
	logs *logspostgres.Store
}

func openTarget(ctx context.Context, url string, now func() time.Time) (*target, error) {
	keys, err := authpostgres.Open(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("open the target: %w", err)
	}
	logs, err := logspostgres.Open(ctx, url, now)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the target: %w", err), keys.Close())
	}
	return &target{keys: keys, logs: logs}, nil
}

func (t *target) close() error { return errors.Join(t.keys.Close(), t.logs.Close()) }
