package accesslog

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// rotatedNames matches the names that rotation gives to a file access.log: access.log.1 and access.log-20261130 (logrotate),
// access-2026-11-30T00-00-00.000.log (Caddy) and access.1.log (logrotate's extension); perhaps with the ending of a
// compressed file.
func rotatedNames(name string) *regexp.Regexp {
	extension := filepath.Ext(name)
	stem := strings.TrimSuffix(name, extension)
	return regexp.MustCompile(`^(` + regexp.QuoteMeta(name) + `[.-][0-9][0-9A-Za-z_:.-]*|` +
		regexp.QuoteMeta(stem) + `[.-][0-9][0-9A-Za-z_:.-]*` + regexp.QuoteMeta(extension) + `(\.[a-z0-9]+)?)$`)
}

// compressed are the endings of files that cannot be read.
var compressed = []string{".gz", ".zst", ".xz", ".bz2"}

// candidate is a file in the folder.
type candidate struct {
	path string
	info os.FileInfo
}

// candidates returns the rotated files, compressed ones included, in the order of their last change, and then the current one. If
// the path is a symbolic link, it searches the folder of its target, which is the file that is rotated.
func (f *Follower) candidates() (found []candidate, err error) {
	current, err := filepath.EvalSymlinks(f.path)
	if err != nil {
		current = f.path // there is no file yet
	}
	entries, err := os.ReadDir(filepath.Dir(current))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	rotated := rotatedNames(filepath.Base(current))
	for _, entry := range entries {
		if !rotated.MatchString(entry.Name()) {
			continue
		}
		path := filepath.Join(filepath.Dir(current), entry.Name())
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() { // it may be gone
			found = append(found, candidate{path, info})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return a.info.ModTime().Compare(b.info.ModTime()) })
	switch info, err := os.Stat(f.path); {
	case err == nil:
		found = append(found, candidate{f.path, info})
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	return found, nil
}

// settleTime is how long a short file must not have changed before it is known whether it is a copy of another.
const settleTime = time.Second

// search opens the current file, and the rotated ones that are not known and have changed since the last search, or within
// quietTime before it.
func (f *Follower) search(now time.Time) error {
	candidates, err := f.candidates()
	if err != nil {
		return err
	}
	for _, c := range candidates {
		changed := c.info.ModTime()
		settled := c.info.Size() >= maxHead || changed.Before(now.Add(-settleTime))
		rotated := settled && changed.After(f.searched.Add(-quietTime)) &&
			!slices.Contains(compressed, filepath.Ext(c.path))
		if f.knows(c.info) || c.path != f.path && !rotated {
			continue
		}
		if err := f.add(c.path); err != nil {
			return err
		}
	}
	f.searched = now
	return nil
}

// add opens a file that is not known, unless it is a copy of one that is: that one will be truncated.
func (f *Follower) add(path string) error {
	file, err := openLogFile(path)
	if errors.Is(err, fs.ErrNotExist) { // rotated again; the next search finds it
		return nil
	}
	if err != nil {
		return err
	}
	known, err := f.knowsCopy(file)
	if err != nil || known {
		return errors.Join(err, file.file.Close())
	}
	f.log.Info("reading a file of the access log from its beginning", "file", path)
	f.files, f.changed = append(f.files, file), true
	return nil
}

// knowsCopy reports whether a file, or one that begins like it, is known.
func (f *Follower) knowsCopy(file *logFile) (bool, error) {
	for _, known := range f.files {
		if os.SameFile(known.info, file.info) {
			return true, nil
		}
		if known.offset == 0 { // it may have no bytes yet
			continue
		}
		if same, err := file.has(known.id, 0); err != nil || same {
			return same, err
		}
	}
	return false, nil
}

// resume opens the files of a state at their positions. Those that were compressed or deleted cannot be read.
func (f *Follower) resume(positions []position) error {
	candidates, err := f.candidates()
	if err != nil {
		return err
	}
	for _, p := range positions {
		found, err := f.open(candidates, p)
		if err != nil {
			return err
		}
		if !found && p.Offset > 0 {
			f.log.Warn("the rest of a file of the access log is not reported: "+
				"it was deleted or compressed while no process read it, or may not be read", "inode", p.Inode, "offset", p.Offset)
		}
	}
	// Compression keeps the time of the last change.
	for _, c := range candidates {
		if slices.Contains(compressed, filepath.Ext(c.path)) && c.info.ModTime().After(f.searched) {
			f.log.Warn("a file of the access log was compressed while no process read it; it cannot be read", "file", c.path)
		}
	}
	return nil
}

// open opens the file of a position, or a copy of it, and reports whether there is one.
func (f *Follower) open(candidates []candidate, p position) (bool, error) {
	for _, sameInode := range []bool{true, false} {
		for _, c := range slices.Backward(candidates) {
			file, err := openLogFile(c.path)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) && c.path != f.path {
				continue // most of the files are not needed
			}
			if err != nil {
				return false, err
			}
			same := file.id.Device == p.Device && file.id.Inode == p.Inode
			matches, err := file.has(p.fileID, p.Offset)
			if err == nil && matches && same == sameInode && (same || p.Offset > 0) && !f.knows(file.info) {
				file.offset, file.next = p.Offset, p.Offset
				f.log.Info("reading a file of the access log where its reports have ended", "file", c.path, "offset", p.Offset)
				f.files, f.changed = append(f.files, file), true
				return true, nil
			}
			if err := errors.Join(err, file.file.Close()); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

// checkTruncated finds files that were truncated after they were copied: the rest is read from the copy, and the file from its
// beginning.
func (f *Follower) checkTruncated() error {
	for _, file := range slices.Clone(f.files) {
		intact, err := file.has(file.id, file.offset)
		if err == nil && intact {
			err = file.extendHead()
		}
		if err != nil {
			return err
		}
		if intact {
			continue
		}
		if err := f.restart(file); err != nil {
			return err
		}
	}
	return nil
}

// restart begins a truncated file again.
func (f *Follower) restart(file *logFile) error {
	old := position{file.id, file.offset}
	file.offset, file.next, file.skipping = 0, 0, false
	if err := file.identify(); err != nil {
		return err
	}
	f.changed = true
	candidates, err := f.candidates()
	if err != nil {
		return err
	}
	found, err := f.open(candidates, old)
	if err == nil && !found {
		f.log.Warn("the access log was truncated, and no copy of it was found; what it had since the last reading is not reported",
			"file", file.file.Name(), "offset", old.Offset)
	}
	return err
}
