package access

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/keytrail/keytrail/internal/durable"
)

// writeNew writes a file that must not be there yet (fs.ErrExist), durably and at once: nobody ever reads half a key, and
// a crash leaves either the whole file or none. It may leave a second name of what it was to write, which begins with a dot.
func writeNew(path string, content []byte, mode os.FileMode) (err error) {
	dir, name := filepath.Dir(path), filepath.Base(path)
	file, err := os.CreateTemp(dir, "."+name+".*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	_, err = file.Write(content)
	if err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close()); err != nil {
		return err
	}
	// Unlike a rename, a link never replaces what is there.
	err = os.Link(file.Name(), path)
	if errors.Is(err, fs.ErrExist) {
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	if err != nil {
		return err
	}
	return durable.SyncFolder(dir)
}
