package accesslog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/gofrs/flock"

	"github.com/keytrail/keytrail/internal/durable"
)

// state is what the state file holds, in JSON: what was reported of which files.
type state struct {
	// Time is when the folder was last searched for files: those that have changed since then may be unknown.
	Time time.Time `json:"time"`
	// Files are the files that may still grow, the oldest first.
	Files []position `json:"files"`
}

// position is how far a file was reported.
type position struct {
	fileID
	// Offset is that of the first byte that was not reported.
	Offset int64 `json:"offset"`
}

// stateFile is the state on disk. Its lock, a file beside it, allows one process to use it.
type stateFile struct {
	path string
	lock *flock.Flock
}

// openState locks the state file and reads it. found is false if there is none yet.
func openState(path string) (s *stateFile, saved state, found bool, err error) {
	s = &stateFile{path, flock.New(path + ".lock")}
	switch locked, err := s.lock.TryLock(); {
	case err != nil:
		return nil, saved, false, fmt.Errorf("lock the state: %w", err)
	case !locked:
		return nil, saved, false, fmt.Errorf("%s is used by another process", path)
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, saved, false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &saved)
	}
	if err != nil {
		return nil, saved, false, errors.Join(fmt.Errorf("read the state %s: %w", path, err), s.close())
	}
	return s, saved, true, nil
}

// save replaces the state. It survives a crash of the machine.
func (s *stateFile) save(next state) error {
	err := durable.Replace(s.path, func(w io.Writer) error { return json.NewEncoder(w).Encode(next) })
	if err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	return nil
}

func (s *stateFile) close() error { return s.lock.Close() }
