// Package migrate copies the data of `keytrail serve` to Postgres: the request logs, then the keys with the key of report
// tokens.
//
// A run may be interrupted at any time and repeated. Request logs that are already at the target are skipped. The keys are
// copied last and in one transaction, so that an interrupted run puts no key in force, and the source can stay in use
// until the next one.
package migrate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/keytrail/keytrail/authsvc"
	authpostgres "github.com/keytrail/keytrail/authsvc/postgres"
	authsqlite "github.com/keytrail/keytrail/authsvc/sqlite"
	"github.com/keytrail/keytrail/logsvc"
	logspostgres "github.com/keytrail/keytrail/logsvc/postgres"
	logsqlite "github.com/keytrail/keytrail/logsvc/sqlite"
	"github.com/keytrail/keytrail/trail"
)

// Config configures a run.
type Config struct {
	// DataDir is the data folder of a `keytrail serve` that is stopped. Its databases are only read.
	DataDir string
	// DatabaseURL is the Postgres database of both services.
	DatabaseURL string
	// Retention is the maximum age of the request logs to copy.
	Retention time.Duration
	Now       func() time.Time
	// Progress receives messages for the user.
	Progress func(text string)
	Log      *slog.Logger
}

// Report is the result of a run.
type Report struct {
	// Pairs compare source and target: the keys of each workspace, then the request logs of each.
	Pairs []Pair
	// Expired is the number of request logs that were not copied because they are older than the retention.
	Expired int64
}

// Equal reports whether source and target hold the same.
func (r Report) Equal() bool {
	return !slices.ContainsFunc(r.Pairs, func(p Pair) bool { return !p.Equal })
}

// Pair compares the rows of a workspace.
type Pair struct {
	What        string // Keys or RequestLogs
	WorkspaceID string
	// From and To are the number of rows at the source and at the target.
	From, To int64
	// Equal reports whether all fields of all rows are equal.
	Equal bool
}

// The values of Pair.What.
const (
	Keys        = "keys"
	RequestLogs = "request logs"
)

type migration struct {
	Config
	fromKeys *authsqlite.Store
	fromLogs *logsqlite.Store
	toKeys   *authpostgres.Store
	toLogs   *logspostgres.Store
	// source and target find the request logs of fromLogs and toLogs.
	source, target *logsvc.Searcher
	// resources are closed in reverse order.
	resources []io.Closer
}

// Run copies everything and compares source and target. It fails before it has written anything if rows wait on the trail,
// if another process uses the trail, or if the target holds other keys than the source.
func Run(ctx context.Context, config Config) (report Report, err error) {
	m := &migration{Config: config}
	defer func() {
		for _, resource := range slices.Backward(m.resources) {
			err = errors.Join(err, resource.Close())
		}
	}()
	if err := m.open(ctx); err != nil {
		return Report{}, err
	}
	copied, err := m.keysCopied(ctx)
	if err != nil {
		return Report{}, err
	}
	if report.Expired, err = m.copyLogs(ctx); err != nil {
		return Report{}, fmt.Errorf("copy the request logs: %w", err)
	}
	if !copied {
		if err := m.copyKeys(ctx); err != nil {
			return Report{}, fmt.Errorf("copy the keys: %w", err)
		}
	}
	keys, err := m.compareKeys(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("compare the keys: %w", err)
	}
	logs, err := m.compareLogs(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("compare the request logs: %w", err)
	}
	report.Pairs = append(keys, logs...)
	return report, nil
}

func (m *migration) open(ctx context.Context) (err error) {
	keysFile, logsFile := filepath.Join(m.DataDir, "auth.db"), filepath.Join(m.DataDir, "logs.db")
	// Locking the trail creates its folder, which must not happen in a wrong folder.
	for _, file := range []string{keysFile, logsFile} {
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s does not exist: is %s the data folder of a `keytrail serve`?", file, m.DataDir)
		}
	}
	// While the trail is locked, `keytrail serve` cannot start.
	lock, err := trail.LockEmpty(filepath.Join(m.DataDir, "trail"), m.Log)
	if errors.Is(err, trail.ErrNotEmpty) {
		return fmt.Errorf("%w: start `keytrail serve --data-dir %s` once more to store them, and stop it when it is ready", err, m.DataDir)
	}
	if err != nil {
		return fmt.Errorf("%w; `keytrail serve` must not run during the migration", err)
	}
	m.resources = append(m.resources, lock)
	if m.fromKeys, err = authsqlite.OpenReadOnly(ctx, keysFile); err != nil {
		return fmt.Errorf("open the source: %w", err)
	}
	m.resources = append(m.resources, m.fromKeys)
	if m.fromLogs, err = logsqlite.OpenReadOnly(ctx, logsFile); err != nil {
		return fmt.Errorf("open the source: %w", err)
	}
	m.resources = append(m.resources, m.fromLogs)
	if m.toKeys, err = authpostgres.Open(ctx, m.DatabaseURL); err != nil {
		return fmt.Errorf("open the target: %w", err)
	}
	m.resources = append(m.resources, m.toKeys)
	if m.toLogs, err = logspostgres.Open(ctx, m.DatabaseURL); err != nil {
		return fmt.Errorf("open the target: %w", err)
	}
	m.resources = append(m.resources, m.toLogs)
	// A page says itself that it is unreadable.
	ignore := func(string, logsvc.Block, error) {}
	m.source, m.target = logsvc.NewSearcher(m.fromLogs, ignore), logsvc.NewSearcher(m.toLogs, ignore)
	return nil
}

// keysCopied reports whether the target already has the keys and the token key of the source. If it has others, they are
// not replaced: one of them may have been revoked at the source since, and report tokens need the key they were made with.
func (m *migration) keysCopied(ctx context.Context) (bool, error) {
	if unused, err := m.toKeys.Unused(ctx); err != nil || unused {
		return false, err
	}
	pairs, err := m.compareKeys(ctx)
	from, fromErr := m.fromKeys.TokenKey(ctx)
	to, toErr := m.toKeys.TokenKey(ctx)
	if err := errors.Join(err, fromErr, toErr); err != nil {
		return false, err
	}
	if !(Report{Pairs: pairs}).Equal() || !bytes.Equal(from, to) {
		return false, errors.New("the target has held keys that are not those of the source: nothing was copied. " +
			"If they are of an earlier attempt or of a trial, remove them (DROP SCHEMA keytrail_auth CASCADE) and repeat the command")
	}
	return true, nil
}

// copyKeys copies all keys and the token key. Deleted keys are not copied, because no replica knows them at the target.
func (m *migration) copyKeys(ctx context.Context) error {
	tokenKey, err := m.fromKeys.TokenKey(ctx)
	if err != nil {
		return err
	}
	return m.toKeys.Import(ctx, tokenKey, func(apply func(authsvc.Change) error) error {
		return m.fromKeys.Changes(ctx, 0, apply)
	})
}

func (m *migration) compareKeys(ctx context.Context) (pairs []Pair, err error) {
	from, fromErr := sumKeys(ctx, m.fromKeys)
	to, toErr := sumKeys(ctx, m.toKeys)
	both := maps.Clone(from)
	maps.Copy(both, to)
	for _, id := range slices.Sorted(maps.Keys(both)) {
		pairs = append(pairs, Pair{What: Keys, WorkspaceID: id, From: from[id].count, To: to[id].count, Equal: from[id] == to[id]})
	}
	return pairs, errors.Join(fromErr, toErr)
}

// keySum is the number of keys of a workspace and a digest of all their fields.
type keySum struct {
	count  int64
	digest [sha256.Size]byte
}

// sumKeys sums the keys of each workspace in the order of their revisions.
func sumKeys(ctx context.Context, store authsvc.Store) (map[string]keySum, error) {
	sums := map[string]keySum{}
	err := store.Changes(ctx, 0, func(c authsvc.Change) error {
		text, err := json.Marshal(c)
		sum := sums[c.Key.WorkspaceID]
		sums[c.Key.WorkspaceID] = keySum{sum.count + 1, sha256.Sum256(append(sum.digest[:], text...))}
		return err
	})
	return sums, err
}
