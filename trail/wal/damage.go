package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// pass moves the reader past bytes that are no good frame, to the next good one or to the end of the segment.
func (r *Reader) pass(s segment) error {
	from, to := r.at.Offset, r.at.Offset+1
	for ; to < s.size; to++ {
		frame, err := r.frame(s, to)
		if err != nil {
			return err
		}
		if frame != nil {
			break
		}
	}
	r.account(s, from, to)
	r.at.Offset = to
	return nil
}

// account tells of the bytes from from to to, which are passed over. At the end of a segment they are what a crash
// tore, as far as anyone can tell. Before a good frame, or where the disk could not be read, they are damage: a copy is set aside.
func (r *Reader) account(s segment, from, to int64) {
	r.j.options.Damaged(to - from)
	log := r.j.options.Log.With("segment", s.name(), "offset", from, "bytes", to-from)
	if to >= s.size && !r.trouble.met {
		log.Warn("the torn end of a segment is passed over")
		return
	}
	aside, err := r.setAside(s, from, to)
	log.Error("a segment is damaged; the records around the damage are good", "set_aside", aside, "error", err)
}

// setAside copies a part of a segment into a file beside it.
func (r *Reader) setAside(s segment, from, to int64) (name string, err error) {
	name = fmt.Sprintf("%s.%d.damaged", s.name(), from)
	f, err := os.OpenFile(filepath.Join(r.j.options.Dir, name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(f, io.NewSectionReader(readerAt(r.read), from, to-from))
	return name, errors.Join(err, f.Close())
}

// gone tells an error of reading what is not there any more.
func gone(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, fs.ErrNotExist) }

// missing looks into an error of reading: where the file has become shorter than it was, or is gone, what is not there
// any more is accounted for and the journal goes on without it. Where the whole folder is away nothing is given up: it
// may come back.
func (r *Reader) missing(s segment, size int64, cause error) error {
	if !gone(cause) {
		// Of a disk that comes back only files that are opened anew can be read.
		return errors.Join(cause, r.Close())
	}
	if err := r.j.ours(); err != nil {
		return errors.Join(cause, err)
	}
	lost := r.j.shorten(s, size) - max(size, r.at.Offset)
	r.j.options.Damaged(lost)
	r.j.options.Log.Error("a segment has lost its end to another hand", "segment", s.name(), "bytes", lost)
	return cause
}
