package accesslog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

const (
	// quietTime is how long a rotated file is read after its last change: a writer that has not opened the new file yet goes on in
	// the old one.
	quietTime = time.Minute
	// searchInterval is how often the folder is searched for files that were rotated before they were seen.
	searchInterval = time.Second
	// saveInterval is how often the state is written. What was reported after it is reported again after a crash.
	saveInterval = time.Second
)

// Follower reads a file that a proxy appends to and that is rotated: renamed and created again, or copied and truncated. Rotated
// files are read to their end, also those that were rotated while no process was reading. It is used by one goroutine. It polls,
// because notifications of changes would not replace the searches in the folder. Libraries that follow a file (nxadm/tail) keep
// no position over a rotation.
type Follower struct {
	path  string
	lines *LineReader
	log   *slog.Logger
	state *stateFile
	// files are open, the oldest first.
	files []*logFile
	// searched is when the folder was searched last.
	searched time.Time
	buffer   []byte
	// pause is before the next reading when there was nothing to read.
	pause time.Duration
	saved time.Time
	// changed is set if the state on disk is older than the positions.
	changed bool
}

// OpenFile begins where the process that wrote the state has ended; without a state at the beginning of the file. The file need
// not exist yet.
func OpenFile(path, statePath string, lines *LineReader, log *slog.Logger) (*Follower, error) {
	states, last, found, err := openState(statePath)
	if err != nil {
		return nil, fmt.Errorf("--state: %w", err)
	}
	f := &Follower{
		path: filepath.Clean(path), lines: lines, log: log, state: states,
		searched: time.Now(), buffer: make([]byte, maxLine), pause: maxWait,
	}
	if found {
		f.searched = last.Time
		err = f.resume(last.Files)
	}
	if err == nil {
		err = f.search(time.Now())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("--file: %w", err), f.closeFiles(), states.close())
	}
	return f, nil
}

// Read implements Source. What is not read yet when ctx ends is read by the next process.
func (f *Follower) Read(ctx context.Context) ([]*authv1.Outcome, error) {
	if ctx.Err() != nil {
		return nil, nil
	}
	if err := f.refresh(); err != nil {
		return nil, fmt.Errorf("read the access log: %w", err)
	}
	var outcomes []*authv1.Outcome
	for _, file := range f.files {
		file.atEnd = false
	}
	progress := false
	for _, file := range f.files {
		err := file.read(f.buffer, func(line []byte, offset int64) bool {
			outcomes = f.take(outcomes, file, line, offset)
			return len(outcomes) < MaxBatch
		})
		if err != nil {
			return nil, fmt.Errorf("read the access log: %w", err)
		}
		progress = progress || file.next > file.offset
		if len(outcomes) == MaxBatch {
			break
		}
	}
	if !progress {
		wait(ctx, f.pause)
	}
	return outcomes, nil
}

// take appends the outcome of a line.
func (f *Follower) take(outcomes []*authv1.Outcome, file *logFile, line []byte, offset int64) []*authv1.Outcome {
	where := slog.Group("line", "file", file.file.Name(), "offset", offset)
	switch {
	case line == nil:
		f.lines.skip(fmt.Sprintf("it is longer than %d bytes", maxLine), where)
	case len(line) > 0:
		if outcome := f.lines.outcome(line, where); outcome != nil {
			return append(outcomes, outcome)
		}
	}
	return outcomes
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// Commit implements Source.
func (f *Follower) Commit() error {
	for _, file := range f.files {
		if file.offset == file.next {
			continue
		}
		file.offset, f.changed = file.next, true
		if err := file.extendHead(); err != nil {
			return fmt.Errorf("read the access log: %w", err)
		}
	}
	if !f.changed || time.Since(f.saved) < saveInterval {
		return nil
	}
	return f.save()
}

func (f *Follower) save() error {
	next := state{Time: f.searched}
	for _, file := range f.files {
		next.Files = append(next.Files, position{file.id, file.offset})
	}
	f.changed, f.saved = false, time.Now()
	return f.state.save(next)
}

// Close implements Source.
func (f *Follower) Close() (err error) {
	if f.changed {
		err = f.save()
	}
	return errors.Join(err, f.closeFiles(), f.state.close())
}

func (f *Follower) closeFiles() (err error) {
	for _, file := range f.files {
		err = errors.Join(err, file.file.Close())
	}
	f.files = nil
	return err
}

// refresh finds out which files there are.
func (f *Follower) refresh() error {
	now := time.Now()
	if err := f.checkTruncated(); err != nil {
		return err
	}
	current, err := os.Stat(f.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if now.Sub(f.searched) >= searchInterval || err == nil && !f.knows(current) {
		if err := f.search(now); err != nil {
			return err
		}
	}
	return f.dropQuiet(current, now)
}

func (f *Follower) knows(info os.FileInfo) bool {
	return slices.ContainsFunc(f.files, func(file *logFile) bool { return os.SameFile(file.info, info) })
}

// dropQuiet closes the rotated files that do not grow any more. current is nil if there is no current file.
func (f *Follower) dropQuiet(current os.FileInfo, now time.Time) (err error) {
	f.files = slices.DeleteFunc(f.files, func(file *logFile) bool {
		if current != nil && os.SameFile(file.info, current) {
			file.rotated = time.Time{}
			return false
		}
		if file.rotated.IsZero() {
			file.rotated = now
		}
		info, statErr := file.file.Stat()
		if statErr != nil {
			err = errors.Join(err, statErr)
			return false
		}
		since := file.rotated
		if info.ModTime().After(since) {
			since = info.ModTime()
		}
		// What a rotated file has after the end of its last line is no line. The next search would open a file again that has
		// changed within quietTime before the last one.
		if f.searched.Sub(since) < quietTime || !file.atEnd {
			return false
		}
		f.changed = true
		err = errors.Join(err, file.file.Close())
		return true
	})
	return err
}
