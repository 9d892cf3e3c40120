package trail

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/durable"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// deadLetterFile holds the rows that the log service refused permanently, one JSON object per line:
// {"time": when it was refused, "reason": …, "message": …, "requestLog": {…}}, and "fromReport": true if the row was made
// from a report alone. Fields that this release does not know are omitted. A row is repeated if a process ended before it
// released the row, and a line is incomplete if the machine crashed. Operators may move the file away at any time: the
// next row creates a new one.
const deadLetterFile = "dead-letters.ndjson"

// deadLetter is a row that the log service refused permanently.
type deadLetter struct {
	record          *logsv1.RequestLogRecord
	reason, message string
}

// line returns the JSON object of a dead letter.
func (l deadLetter) line(now time.Time) ([]byte, error) {
	row := l.record.GetRequestLog()
	// Records omit the time. An id can hold one that JSON cannot represent.
	if id, err := uuid.Parse(row.GetId()); err == nil {
		if at := timestamppb.New(uuid7.Time(id)); at.IsValid() {
			row.Time = at
		}
	}
	requestLog, err := protojson.Marshal(row)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Time       time.Time       `json:"time"`
		Reason     string          `json:"reason"`
		Message    string          `json:"message"`
		RequestLog json.RawMessage `json:"requestLog"`
		FromReport bool            `json:"fromReport,omitempty"`
	}{now.UTC(), l.reason, l.message, requestLog, l.record.GetFromReport()})
}

// deadLetters writes the dead-letter file. It is safe for concurrent use.
type deadLetters struct {
	dir string
	// resized is called with the size of the file when it has changed.
	resized func(bytes int64)
	size    atomic.Int64

	mu      sync.Mutex
	reserve reserve
}

func (d *deadLetters) path() string { return filepath.Join(d.dir, deadLetterFile) }

// measure updates the size of the file, which may have been moved away. During a write it does nothing: write updates the
// size itself.
func (d *deadLetters) measure() {
	if !d.mu.TryLock() {
		return
	}
	defer d.mu.Unlock()
	switch info, err := os.Stat(d.path()); {
	case err == nil:
		d.setSize(info.Size())
	case errors.Is(err, os.ErrNotExist):
		d.setSize(0)
	}
}

// bytes returns the size of the file.
func (d *deadLetters) bytes() int64 {
	d.measure()
	return d.size.Load()
}

// write appends dead letters, all or none, and returns when they are synced. On a full disk it uses the reserve.
func (d *deadLetters) write(now time.Time, letters []deadLetter) error {
	var lines []byte
	for _, l := range letters {
		line, err := l.line(now)
		if err != nil {
			return fmt.Errorf("write a dead letter: %w", err)
		}
		lines = append(append(lines, line...), '\n')
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	size, err := appendLines(d.path(), lines)
	for isFull(err) && d.reserve.shrink(len(lines)) {
		size, err = appendLines(d.path(), lines)
	}
	if err != nil {
		return fmt.Errorf("write dead letters: %w", err)
	}
	d.setSize(size)
	return nil
}

func (d *deadLetters) setSize(bytes int64) {
	d.size.Store(bytes)
	d.resized(bytes)
}

// refillReserve restores the reserve as far as the disk has space. The next release tries again.
func (d *deadLetters) refillReserve() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reserve.size < d.reserve.want {
		_ = d.reserve.fill()
	}
}

// appendLines appends lines to a file durably, or leaves it unchanged. It returns the size of the file.
func appendLines(path string, lines []byte) (size int64, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if size := info.Size(); size > 0 {
		// A crash may have left an incomplete line.
		var last [1]byte
		if _, err := f.ReadAt(last[:], size-1); err != nil {
			return 0, err
		}
		if last[0] != '\n' {
			lines = append([]byte{'\n'}, lines...)
		}
	}
	_, err = f.Write(lines)
	if err == nil {
		err = f.Sync()
	}
	if err == nil && info.Size() == 0 {
		err = durable.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return 0, errors.Join(err, f.Truncate(info.Size()))
	}
	return info.Size() + int64(len(lines)), nil
}

const (
	// reserveFile keeps space on disk for dead letters. Its content has no meaning.
	reserveFile     = "reserve"
	maxReserveBytes = 4 << 20
	// diskPage is the unit in which a file system allocates space.
	diskPage = 4 << 10
)

// reserve is a file that occupies disk space for dead letters. Without it, a trail that fills its disk could not write a
// dead letter, and therefore never release the row, nor any row behind it. It is not safe for concurrent use.
type reserve struct {
	path string
	// want is the size that it should have, size the one that it has.
	want, size int64
}

// fill extends the reserve to the wanted size, or as far as the disk has space.
func (r *reserve) fill() error {
	f, err := os.OpenFile(r.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() < r.want {
		// Random bytes, because file systems compress others, or do not allocate them.
		_, err = io.CopyN(f, rand.NewChaCha8([32]byte{}), r.want-info.Size())
		err = errors.Join(err, f.Sync())
	}
	if now, e := f.Stat(); e == nil {
		r.size = now.Size()
	}
	return errors.Join(err, f.Close())
}

// shrink frees space for some bytes. It does not free much more, because new records take what remains. It reports
// whether it has freed any.
func (r *reserve) shrink(bytes int) bool {
	if r.size == 0 {
		return false
	}
	size := max(0, r.size-int64(bytes)-2*diskPage) / diskPage * diskPage
	if err := os.Truncate(r.path, size); err != nil {
		return false
	}
	r.size = size
	return true
}
