package trail

import (
	"encoding/json"
	"errors"
	"fmt"
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

// deadLetterFile holds the rows that the log service refused for good, one JSON object a line:
// {"time": when it was refused, "reason": …, "message": …, "requestLog": {…}}, and "fromReport": true of a row that was made from a
// report alone. Fields of the row that this release does not know are left out. A row may stand there twice, where a
// process ended before it had released the row, and half a line where a machine crashed. Nothing reads the file but
// people, who may move it away at any time: the next row begins a new one.
const deadLetterFile = "dead-letters.ndjson"

// deadLetter is a row with the reason why it can never be stored, and what is wrong with it in words.
type deadLetter struct {
	record          *logsv1.RequestLogRecord
	reason, message string
}

// line is the letter as it stands in the file, without the end of the line.
func (l deadLetter) line(now time.Time) ([]byte, error) {
	row := l.record.GetRequestLog()
	// Records leave it out; people want to read it. An id can hold a time that JSON cannot.
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

// deadLetters is the file, safe for concurrent use.
type deadLetters struct {
	dir string
	// grown is told how large the file is, which size keeps.
	grown func(bytes int64)
	size  atomic.Int64

	mu      sync.Mutex
	reserve reserve
}

func (d *deadLetters) path() string { return filepath.Join(d.dir, deadLetterFile) }

// measure tells how large the file is now, as somebody may have moved it away. It does not wait for a write, which
// tells so itself.
func (d *deadLetters) measure() {
	if !d.mu.TryLock() {
		return
	}
	defer d.mu.Unlock()
	switch info, err := os.Stat(d.path()); {
	case err == nil:
		d.resize(info.Size())
	case errors.Is(err, os.ErrNotExist):
		d.resize(0)
	}
}

// bytes is how large the file is now.
func (d *deadLetters) bytes() int64 {
	d.measure()
	return d.size.Load()
}

// write appends letters, all or none, and answers when they are on the disk.
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
	for noRoom(err) && d.reserve.give(len(lines)) {
		size, err = appendLines(d.path(), lines)
	}
	if err != nil {
		return fmt.Errorf("write dead letters: %w", err)
	}
	d.resize(size)
	return nil
}

func (d *deadLetters) resize(bytes int64) {
	d.size.Store(bytes)
	d.grown(bytes)
}

// refill makes up for what the reserve has given, as far as there is room. Where there is none it is tried again at the
// next release.
func (d *deadLetters) refill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reserve.size < d.reserve.want {
		_ = d.reserve.fill() // what it does not get is tried for again
	}
}

// appendLines appends lines to a file, durably, or leaves it as it was; it answers the size of the file.
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
	if half, err := endsWithin(f, info.Size()); err != nil {
		return 0, err
	} else if half {
		lines = append([]byte{'\n'}, lines...)
	}
	_, err = f.Write(lines)
	if err == nil {
		err = f.Sync()
	}
	if err == nil && info.Size() == 0 {
		err = durable.SyncFolder(filepath.Dir(path))
	}
	if err != nil {
		return 0, errors.Join(err, f.Truncate(info.Size()))
	}
	return info.Size() + int64(len(lines)), nil
}

// endsWithin tells whether a file ends within a line: a crash left half of one there, or a person a whole one.
func endsWithin(f *os.File, size int64) (bool, error) {
	if size == 0 {
		return false, nil
	}
	var last [1]byte
	_, err := f.ReadAt(last[:], size-1)
	return last[0] != '\n', err
}
