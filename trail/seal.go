package trail

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/keytrail/keytrail/trail/wal"
)

// ErrWaiting says that rows wait on a trail.
var ErrWaiting = errors.New("request logs wait on the trail")

// Seal locks the folder of a trail that has nothing to ship, so that no process puts a row on it until the seal is
// closed. It fails where another process has the trail open, and with ErrWaiting where rows wait on it. Log is told of
// damage.
func Seal(dir string, log *slog.Logger) (io.Closer, error) {
	j, err := wal.Open(wal.Options{
		Dir: dir, MaxBytes: MinBytes, Fsync: time.Second, Log: log, Damaged: func(int64) {}, Synced: func(time.Duration) {},
	})
	if err != nil {
		return nil, fmt.Errorf("seal the trail: %w", err)
	}
	if err := expectEmpty(j); err != nil {
		return nil, errors.Join(err, j.Close())
	}
	return j, nil
}

// expectEmpty looks for a record. The bytes that wait say less: some are the torn end of a segment, which is no row.
func expectEmpty(j *wal.Journal) error {
	reader := j.NewReader()
	_, found, err := reader.Next()
	if err == nil && found {
		err = ErrWaiting
	}
	if err := errors.Join(err, reader.Close()); err != nil {
		return fmt.Errorf("look for rows on the trail: %w", err)
	}
	return nil
}
