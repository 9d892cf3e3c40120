// Package migrate moves what `keytrail serve` keeps in its data folder to Postgres: the request logs, then the keys
// with the key of report tokens. It knows both services' stores and nothing of the command line.
//
// It may be broken off at any moment and run again: request logs that are there are passed over, a page at a time,
// and the keys arrive in one transaction, all or none. They come last, so that a move that was broken off has put no
// key in force anywhere, and the source may live on until the next attempt.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Config says what is moved where.
type Config struct {
	// DataDir is the folder of a `keytrail serve` that does not run. Its databases are not changed.
	DataDir string
	// DatabaseURL is the Postgres of both services.
	DatabaseURL string
	// Retention is how old request logs may be to be moved.
	Retention time.Duration
	Now       func() time.Time
	// Progress is told, in words, how far the move has come.
	Progress func(text string)
	// Log is told of damage that is found on the trail.
	Log *slog.Logger
}

// Report is what became of a move.
type Report struct {
	// Pairs compare the two sides: the keys of each workspace, then the request logs of each.
	Pairs []Pair
	// Expired is how many request logs were not moved because they are older than the retention.
	Expired int64
}

// Equal tells whether the two sides hold the same.
func (r Report) Equal() bool {
	for _, p := range r.Pairs {
		if !p.Equal() {
			return false
		}
	}
	return true
}

// mover moves from one side to the other.
type mover struct {
	config Config
	from   *source
	to     *target
}

// Run moves everything and compares the two sides. It fails before it has written anything where rows wait on the trail,
// where a process has it open, and where the target has keys that are not the source's. Its memory does not grow with
// the number of rows, but with that of workspaces.
func Run(ctx context.Context, config Config) (report Report, err error) {
	m := &mover{config: config}
	if m.from, err = openSource(ctx, config.DataDir, config.Log); err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, m.from.close()) }()
	if m.to, err = openTarget(ctx, config.DatabaseURL, config.Now); err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, m.to.close()) }()
	return m.run(ctx)
}

func (m *mover) run(ctx context.Context) (Report, error) {
	keysMoved, err := m.keysMoved(ctx)
	if err != nil {
		return Report{}, err
	}
	expired, err := m.moveLogs(ctx)
	if err != nil {
		return Report{}, err
	}
	if !keysMoved {
		if err := m.moveKeys(ctx); err != nil {
			return Report{}, err
		}
	}
	pairs, err := m.compare(ctx)
	return Report{Pairs: pairs, Expired: expired}, err
}

// compare reads both sides once more, from beginning to end.
func (m *mover) compare(ctx context.Context) ([]Pair, error) {
	keys, err := m.compareKeys(ctx)
	if err != nil {
		return nil, err
	}
	p := m.newProgress("compared "+RequestLogs+" of both sides", 0)
	logs, err := m.compareLogs(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("compare the request logs: %w", err)
	}
	p.end()
	return append(keys, logs...), nil
}
