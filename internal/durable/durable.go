// Package durable creates files and directories that survive a crash of the machine.
package durable

import (
	"errors"
	"os"
	"path/filepath"
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
