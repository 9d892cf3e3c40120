package wal

import (
	"errors"
	"io"
	"time"
)

const (
	// readPatience is how long reading must have failed at one place before what cannot be read is given up.
	readPatience = time.Minute
	// blockBytes is how much is given up with a byte that cannot be read: what disks and kernels read at once.
	blockBytes = 4 << 10
)

// trouble is what a reader remembers of errors of reading.
type trouble struct {
	// at is where reading fails, since then; the zero time = it does not.
	at    Position
	since time.Time
	// around is the segment that is read around what cannot be read of it; 0 = none.
	around uint64
	// met tells that something of the open segment could not be read and was given up.
	met bool
}

// note notes whether reading has failed. Where it goes on failing at one place, the segment is read around it from then on.
func (r *Reader) note(err error) {
	switch {
	case err == nil || gone(err):
		r.trouble.since = time.Time{}
	case r.trouble.since.IsZero() || r.trouble.at != r.at:
		r.trouble.at, r.trouble.since = r.at, time.Now()
	case time.Since(r.trouble.since) >= readPatience && r.trouble.around != r.at.Segment:
		r.trouble.around = r.at.Segment
		r.j.options.Log.Error("a segment cannot be read; what can be read of it is", "segment", r.at.Segment, "offset", r.at.Offset, "error", err)
	}
}

// readerAt is an io.ReaderAt.
type readerAt func(buf []byte, offset int64) (int, error)

func (f readerAt) ReadAt(buf []byte, offset int64) (int, error) { return f(buf, offset) }

// read reads from the open segment. In a segment that is read around what cannot be read, zeros stand in its place.
func (r *Reader) read(buf []byte, offset int64) (int, error) {
	n, err := r.readAt(r.file, buf, offset)
	if err == nil || gone(err) || r.trouble.around != r.opened {
		return n, err
	}
	for n = 0; n < len(buf); {
		block := buf[n:min(len(buf), n+blockBytes-int((offset+int64(n))%blockBytes))]
		got, err := r.readAt(r.file, block, offset+int64(n))
		if errors.Is(err, io.EOF) {
			return n + got, err
		}
		if err != nil {
			clear(block)
			r.trouble.met = true
		}
		n += len(block)
	}
	return n, nil
}
