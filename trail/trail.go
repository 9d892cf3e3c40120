// Package trail is the durable queue between the auth service and the log service. Append writes request logs to a
// write-ahead log on local disk (package wal). Run ships them to the log service and releases them once they are stored.
package trail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/keytrail/keytrail/authsvc"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/trail/wal"
)

// Config configures a trail.
type Config struct {
	// Dir is the directory of the trail. It is created if it does not exist. One process at a time can open it.
	Dir string
	// MaxBytes limits the size on disk of the records and the dead letters together, at least MinBytes. The reserve for
	// dead letters comes on top: a sixteenth of MaxBytes or of the disk, at most 4 MiB.
	MaxBytes int64
	// Fsync is how long a row may wait to be synced to the disk; 0 = Append waits for the sync.
	Fsync time.Duration
	// StallTimeout is how long Append waits for a disk that does not respond; 0 = 250 ms.
	StallTimeout time.Duration
	// Client is the log service.
	Client logsv1.LogServiceClient
	Log    *slog.Logger
	// Metrics is where the trail registers its metrics.
	Metrics prometheus.Registerer
}

// MinBytes is the minimum of Config.MaxBytes. An empty trail has space for the rows of any gRPC message of 4 MiB.
const MinBytes = 8 << 20

// logInterval is the minimum time between two log lines about the same kind of error. Metrics count every occurrence.
const logInterval = time.Minute

// ErrNotEmpty is returned by LockEmpty when the trail has request logs that are not shipped.
var ErrNotEmpty = errors.New("request logs wait on the trail")

// Trail implements authsvc.Trail. It is safe for concurrent use, except for Run and Close.
//
// Durability: once Append has returned, rows survive the end of the process, however it ends, and Config.Fsync later also a
// crash of the machine. They are shipped at least once. They are shipped again if a response is lost, or if the process
// ends before it has released them.
type Trail struct {
	wal         *wal.WAL
	client      logsv1.LogServiceClient
	deadLetters deadLetters
	metrics     *metrics
	log         *slog.Logger
	// shared is the Config of OpenShared, and zero otherwise.
	shared Config
	// oldest is when the oldest record that is not shipped was appended, Unix time in ns; 0 = there is none.
	oldest atomic.Int64

	logRejected, logRetry, logDeadLetter, logMalformed rate.Sometimes
}

// Open opens a trail, with the rows that an earlier process left on it.
func Open(config Config) (*Trail, error) {
	if config.MaxBytes < MinBytes {
		return nil, fmt.Errorf("the trail's limit must be at least %d bytes, got %d", MinBytes, config.MaxBytes)
	}
	t, err := open(config, newMetrics())
	if err != nil {
		return nil, err
	}
	if err := t.register(config.Metrics, config.MaxBytes); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// open opens a trail that counts in metrics, and registers nothing.
func open(config Config, metrics *metrics) (*Trail, error) {
	t := &Trail{
		client: config.Client, metrics: metrics, log: config.Log,
		logRejected: rate.Sometimes{Interval: logInterval}, logRetry: rate.Sometimes{Interval: logInterval},
		logDeadLetter: rate.Sometimes{Interval: logInterval}, logMalformed: rate.Sometimes{Interval: logInterval},
	}
	var err error
	t.wal, err = wal.Open(wal.Options{
		Dir: config.Dir, MaxBytes: config.MaxBytes, Fsync: config.Fsync, StallTimeout: config.StallTimeout, Log: config.Log,
		Damaged: func(bytes int64) { metrics.damaged.Add(float64(bytes)) },
		Synced:  func(took time.Duration) { metrics.fsync.Observe(took.Seconds()) },
	})
	if err != nil {
		return nil, fmt.Errorf("open the trail: %w", err)
	}
	t.deadLetters = deadLetters{
		dir: config.Dir, resized: t.wal.SetExternalBytes,
		reserve: reserve{
			path: filepath.Join(config.Dir, reserveFile),
			want: min(maxReserveBytes, config.MaxBytes/16, diskBytes(config.Dir)/16),
		},
	}
	t.deadLetters.refillReserve()
	t.deadLetters.measure()
	return t, nil
}

// LockEmpty opens a trail exclusively if it is empty, so that no other process can append to it until the returned Closer
// is closed. It returns ErrNotEmpty if rows wait on the trail, and wal.ErrInUse if a process has it open.
func LockEmpty(dir string, log *slog.Logger) (io.Closer, error) {
	w, err := wal.Open(wal.Options{
		Dir: dir, MaxBytes: MinBytes, Fsync: time.Second, Log: log, Damaged: func(int64) {}, Synced: func(time.Duration) {},
	})
	if err != nil {
		return nil, fmt.Errorf("open the trail: %w", err)
	}
	// The size of the backlog is not enough: it includes the torn end of a segment, which holds no row.
	reader := w.NewReader()
	_, found, err := reader.Next()
	if err == nil && found {
		err = ErrNotEmpty
	}
	if err := errors.Join(err, reader.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("look for rows on the trail: %w", err), w.Close())
	}
	return w, nil
}

// Append appends rows, all or none. If they do not fit, or the disk fails or stalls, it returns fault.TrailFull or
// fault.TrailFailed, and counts and logs them. When ctx ends, it returns its error. In some of these cases rows may be on the
// trail nevertheless: they are counted as uncertain, and if they are there, they are shipped.
func (t *Trail) Append(ctx context.Context, rows ...authsvc.Entry) error {
	enc := encoders.Get().(*encoder)
	defer enc.free()
	records, err := enc.encode(rows)
	if err != nil {
		return t.reject(t.metrics.rejected, len(rows), fmt.Errorf("encode a request log: %w", err))
	}
	err = t.wal.Append(ctx, records...)
	if err == nil {
		t.metrics.appended.Add(float64(len(rows)))
		return nil
	}
	gone := ctx.Err() != nil && errors.Is(err, ctx.Err())
	switch uncertain := errors.Is(err, wal.ErrUncertain); {
	case gone && uncertain:
		t.metrics.uncertain.Add(float64(len(rows)))
		fallthrough
	case gone: // the caller got no response, and there is no row
		return fmt.Errorf("append %d rows: %w", len(rows), err)
	case uncertain:
		return t.reject(t.metrics.uncertain, len(rows), err)
	}
	return t.reject(t.metrics.rejected, len(rows), err)
}

// reject counts and logs rows that were not appended, and returns the error for the caller.
func (t *Trail) reject(counter prometheus.Counter, rows int, err error) error {
	counter.Add(float64(rows))
	reason, message := fault.TrailFailed, "the trail of request logs cannot be written; try again later"
	if isFull(err) {
		reason, message = fault.TrailFull, "the trail of request logs is full; try again later"
		// Records are shipped eventually, but dead letters stay until an operator moves them away.
		if bytes := t.deadLetters.bytes(); bytes > t.wal.BacklogBytes() {
			message = "the trail of request logs is full of rows that were refused permanently; try again once they have been moved away"
			err = fmt.Errorf("%w: %d bytes of it are in %s, which is to be moved away", err, bytes, t.deadLetters.path())
		}
	}
	t.logRejected.Do(func() { t.log.Error("request logs not appended to the trail", "rows", rows, "error", err) })
	return fault.New(reason, "%s", message)
}

// isFull reports whether an error means that the limit is reached or that the disk or quota is full.
func isFull(err error) bool {
	return errors.Is(err, wal.ErrFull) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// Full reports whether the trail has reached its limit or the disk is full.
func (t *Trail) Full() bool {
	if !isFull(t.wal.Err()) {
		return false
	}
	t.deadLetters.measure()
	return isFull(t.wal.Err())
}

// Writable returns the error of a disk that fails, or nil. A full trail is not an error.
func (t *Trail) Writable() error {
	if err := t.wal.Err(); err != nil && !isFull(err) {
		return err
	}
	return nil
}

// Close syncs what was appended and unlocks the directory. Run and Append must have returned.
func (t *Trail) Close() error {
	if err := t.wal.Close(); err != nil {
		return fmt.Errorf("close the trail: %w", err)
	}
	return nil
}
