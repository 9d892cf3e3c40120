// Package trail carries rows from the auth service to the log service. What is appended is on the local disk before
// Append answers, and stays there until the log service has stored it: a journal (package journal) and its shipper.
package trail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/keytrail/keytrail/authsvc"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/trail/wal"
)

// Config is what a trail is opened with.
type Config struct {
	// Dir is its folder, made if it is missing. One process can have it open.
	Dir string
	// MaxBytes is how large the rows that wait and the dead letters may become on disk together, at least MinBytes. On top
	// of it comes a reserve of a sixteenth, or of a sixteenth of the disk, at most 4 MiB: room for dead letters on a disk
	// that is full.
	MaxBytes int64
	// Fsync is how long a row may wait to be synced to the disk; 0 = Append waits for it.
	Fsync time.Duration
	// Client is the log service.
	Client logsv1.LogServiceClient
	Log    *slog.Logger
	// Metrics is where the trail's metrics are registered.
	Metrics prometheus.Registerer
}

// MinBytes is the least Config.MaxBytes: an empty trail takes every Append that one message of gRPC, of 4 MiB, can ask for.
const MinBytes = 8 << 20

// Trail is an authsvc.Trail. Run ships what is appended.
//
// Durability: rows survive the end of the process in any way from the moment Append has answered, and a crash of the
// machine from Config.Fsync later. They are shipped at least once, and may be shipped again: where an answer is lost, and
// after a process that ended before all of its rows were stored.
type Trail struct {
	journal *wal.Journal
	client  logsv1.LogServiceClient
	dead    deadLetters
	metrics *metrics
	log     *slog.Logger
	// folder is what OpenShared was called with, and zero otherwise.
	folder Config
	// These keep the log to one line a minute each: of rows that were not taken, of attempts to ship that failed, of
	// rows set aside, and of records that are none.
	refusals, delays, burials, strays occasional
}

// Open opens a trail with what an earlier process left on it.
func Open(config Config) (*Trail, error) {
	if config.MaxBytes < MinBytes {
		return nil, fmt.Errorf("the trail's limit must be at least %d bytes, got %d", MinBytes, config.MaxBytes)
	}
	t, err := open(config, newMetrics())
	if err != nil {
		return nil, err
	}
	if err := t.metrics.register(config.Metrics, config.MaxBytes, t.journal.Waiting, t.dead.bytes); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// open opens a trail that counts in metrics, and registers nothing.
func open(config Config, metrics *metrics) (*Trail, error) {
	t := &Trail{client: config.Client, metrics: metrics, log: config.Log, dead: deadLetters{dir: config.Dir}}
	t.refusals.tell, t.delays.tell, t.burials.tell, t.strays.tell = t.tellRefused, t.tellDelayed, t.tellBuried, t.tellStray
	var err error
	t.journal, err = wal.Open(wal.Options{
		Dir: config.Dir, MaxBytes: config.MaxBytes, Fsync: config.Fsync, Log: config.Log,
		Damaged: func(bytes int64) { t.metrics.damaged.Add(float64(bytes)) },
		Synced:  func(took time.Duration) { t.metrics.fsync.Observe(took.Seconds()) },
	})
	if err != nil {
		return nil, fmt.Errorf("open the trail: %w", err)
	}
	t.dead.grown = t.journal.Beside
	t.dead.reserve = reserve{path: filepath.Join(config.Dir, reserveFile), want: min(largestReserve, config.MaxBytes/16, diskBytes(config.Dir)/16)}
	t.dead.refill()
	t.dead.measure()
	return t, nil
}

// Append puts rows onto the trail, all or none. Where they find no room, or the disk does not take them, it counts
// them, tells the log and answers fault.TrailFull or fault.TrailFailed. Where it was the sync that failed, or ctx ended before it, they may
// be on the trail all the same, and are shipped if they are.
func (t *Trail) Append(ctx context.Context, rows ...authsvc.Entry) error {
	records := make([][]byte, len(rows))
	for i := range rows {
		records[i] = appendRecord(make([]byte, 0, usualRecord), &rows[i])
	}
	err := t.journal.Append(ctx, records...)
	switch {
	case err == nil:
		t.metrics.appended.Add(float64(len(rows)))
		return nil
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		// They are written, only not synced yet, and will be shipped.
		t.metrics.appended.Add(float64(len(rows)))
		return fmt.Errorf("append %d rows: %w", len(rows), err)
	}
	t.metrics.refused.Add(float64(len(rows)))
	return t.refuse(len(rows), err)
}

// refuse tells the log of rows that were not taken, and answers what the caller may know of the reason.
func (t *Trail) refuse(rows int, err error) error {
	reason, answer := fault.TrailFailed, "the trail of request logs cannot be written; try again later"
	if noRoom(err) {
		reason, answer = fault.TrailFull, "the trail of request logs is full; try again later"
		// Rows that wait will go by themselves, these will not.
		if bytes := t.dead.bytes(); bytes > t.journal.Waiting() {
			answer = "the trail of request logs is full of rows that were refused for good; try again once they have been moved away"
			err = fmt.Errorf("%w: %d bytes of it are in %s, which is to be moved away", err, bytes, t.dead.path())
		}
	}
	t.refusals.add(rows, err)
	return fault.New(reason, "%s", answer)
}

// noRoom tells an error of the limit, or of a disk or quota that is full: both are what becomes of a trail whose rows
// nobody fetches.
func noRoom(err error) bool {
	return errors.Is(err, wal.ErrFull) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// Full tells whether the trail has reached its limit, or the end of its disk.
func (t *Trail) Full() bool {
	if !noRoom(t.journal.Err()) {
		return false
	}
	t.dead.measure()
	return noRoom(t.journal.Err())
}

// Writable tells why the disk takes no rows; nil = it does, or would if there were room.
func (t *Trail) Writable() error {
	if err := t.journal.Err(); err != nil && !noRoom(err) {
		return err
	}
	return nil
}

// Close syncs what was appended and lets go of the folder. Neither Run nor an Append may be under way.
func (t *Trail) Close() error {
	if err := t.journal.Close(); err != nil {
		return fmt.Errorf("close the trail: %w", err)
	}
	return nil
}
