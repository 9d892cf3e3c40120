package trail

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// deadLetterFile holds the rows that the log service refused for good, one JSON object a line:
// {"time": when it was refused, "reason": …, "requestLog": {…}}. A row may stand there twice, after a crash. Nothing
// reads it but people, who may move it away at any time: the next row begins a new one.
const deadLetterFile = "dead-letters.ndjson"

// deadLetter is a row with the reason why it can never be stored.
type deadLetter struct {
	row    *logsv1.RequestLog
	reason string
}

// deadLetters is the file, safe for concurrent use.
type deadLetters struct {
	dir string
	// grown is told how large the file is.
	grown func(bytes int64)
	mu    sync.Mutex
}

func (d *deadLetters) path() string { return filepath.Join(d.dir, deadLetterFile) }

// measure tells how large the file is that was left here.
func (d *deadLetters) measure() error {
	info, err := os.Stat(d.path())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for dead letters: %w", err)
	}
	d.grown(info.Size())
	return nil
}

// write appends letters, all or none, and answers when they are on the disk.
func (d *deadLetters) write(now time.Time, letters []deadLetter) error {
	var lines []byte
	for _, l := range letters {
		row, err := protojson.Marshal(l.row)
		if err != nil {
			return fmt.Errorf("write a dead letter: %w", err)
		}
		line, err := json.Marshal(struct {
			Time       time.Time       `json:"time"`
			Reason     string          `json:"reason"`
			RequestLog json.RawMessage `json:"requestLog"`
		}{now.UTC(), l.reason, row})
		if err != nil {
			return fmt.Errorf("write a dead letter: %w", err)
		}
		lines = append(append(lines, line...), '\n')
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	size, err := appendWhole(d.path(), lines)
	if err != nil {
		return fmt.Errorf("write dead letters: %w", err)
	}
	d.grown(size)
	return nil
}

// appendWhole appends to a file, durably, or leaves it as it was; it answers the size of the file.
func appendWhole(path string, text []byte) (size int64, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if _, err := f.Write(text); err != nil {
		return 0, errors.Join(err, f.Truncate(info.Size()))
	}
	return info.Size() + int64(len(text)), f.Sync()
}
