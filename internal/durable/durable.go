// Package durable creates and replaces files and directories that survive a crash of the machine.
package durable

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"
)

// SyncDir syncs a directory: the files that were created, renamed or deleted in it. A synced file may be missing after a
// crash until its directory is synced as well (fsync(2)).
func SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// MkdirAll creates a directory, and those above it that do not exist, and syncs them.
func MkdirAll(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(filepath.Clean(dir))
	if err := MkdirAll(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return SyncDir(parent)
}

// abandonedAfter is how old a temporary file of Replace must be to be one that a crash has left.
const abandonedAfter = time.Hour

// Replace replaces a file, or creates it with mode 0600, by what write writes: after a crash of the machine it is the old or
// the new one. A temporary file with a name that begins with a dot lies beside it meanwhile; one that a crash has left is
// removed by a later call. Processes may replace one file at once; the last one wins.
func Replace(path string, write func(io.Writer) error) (err error) {
	dir, pattern := filepath.Dir(path), "."+filepath.Base(path)+".*"
	if err := removeAbandoned(filepath.Join(dir, pattern)); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	buffered := bufio.NewWriterSize(file, 1<<20)
	if err = write(buffered); err == nil {
		err = buffered.Flush()
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err = os.Rename(file.Name(), path); err != nil {
		return err
	}
	return SyncDir(dir) // the file has its name, and no other
}

func removeAbandoned(pattern string) error {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err == nil && time.Since(info.ModTime()) > abandonedAfter {
			err = os.Remove(file)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
