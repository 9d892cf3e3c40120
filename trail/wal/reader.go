package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// readAhead is how many bytes are read at once; more than any frame.
const readAhead = 256 << 10

// Record is a record as it is read.
type Record struct {
	// Time is when it was appended, in milliseconds.
	Time time.Time
	// Payload is valid until the next call of Next.
	Payload []byte
}

// Reader reads records in order, from the oldest that is not released. It is not safe for concurrent use.
type Reader struct {
	w        *WAL
	position Position
	// file is the open segment, fileSeq its sequence number, and buf its bytes from bufStart on.
	file     *os.File
	fileSeq  uint64
	buf      []byte
	bufStart int64
}

// NewReader returns a reader. Records that an earlier reader returned and that were not released are returned again.
func (w *WAL) NewReader() *Reader {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.segments) > 0 {
		signal(w.arrived)
	}
	return &Reader{w: w, position: w.released, buf: make([]byte, 0, readAhead)}
}

// Position returns the position before the record that Next returns next.
func (r *Reader) Position() Position { return r.position }

// Close closes the reader's file. Next may be called afterwards and opens it again.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}

// Next returns the next record; ok is false if there is none yet. It skips bytes that are not a valid frame and reports
// them to Options.Damaged. After an error, which a disk may return for some time, Next continues at the same position.
func (r *Reader) Next() (record Record, ok bool, err error) {
	for {
		s, active, found := r.segment()
		if r.fileSeq != s.seq {
			// An open file keeps its space on disk after it is deleted.
			if err := r.Close(); err != nil {
				return Record{}, false, fmt.Errorf("close a segment: %w", err)
			}
		}
		if !found {
			return Record{}, false, nil
		}
		frame, err := r.frame(s, r.position.Offset)
		switch {
		case err != nil:
			// Some errors persist for as long as the file is open.
			return Record{}, false, errors.Join(err, r.Close())
		case frame != nil:
			r.position.Offset += int64(len(frame))
			if len(frame) > headerBytes {
				return Record{Time: appendTime(frame), Payload: frame[headerBytes:]}, true, nil
			}
		case r.position.Offset < s.size:
			if err := r.skipDamage(s); err != nil {
				return Record{}, false, errors.Join(err, r.Close())
			}
		case active:
			return Record{}, false, nil
		default:
			r.position = Position{Segment: s.seq + 1}
		}
	}
}

// segment returns the segment to read: the first one at or after the position.
func (r *Reader) segment() (s segment, active, found bool) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	for i, s := range r.w.segments {
		if s.seq < r.position.Segment {
			continue
		}
		if s.seq > r.position.Segment {
			r.position = Position{Segment: s.seq}
		}
		// A segment that is written stays, although a failed sync may have ended it.
		open := r.w.active != nil || r.w.write.runs()
		return s, i == len(r.w.segments)-1 && open, true
	}
	return segment{}, false, false
}

// skipDamage moves to the next valid frame, or to the end of the segment.
func (r *Reader) skipDamage(s segment) error {
	from, to := r.position.Offset, r.position.Offset+1
	for ; to < s.size; to++ {
		frame, err := r.frame(s, to)
		if err != nil {
			return err
		}
		if frame != nil {
			break
		}
	}
	r.position.Offset = to
	r.w.options.Damaged(to - from)
	log := r.w.options.Log.With("segment", s.name(), "offset", from, "bytes", to-from)
	if to >= s.size {
		log.Warn("trail segment ends with an incomplete record, as after a crash; skipped")
	} else {
		log.Error("trail segment damaged; skipped to the next valid record")
	}
	return nil
}

// frame returns the valid frame at an offset, or nil.
func (r *Reader) frame(s segment, offset int64) ([]byte, error) {
	header, err := r.bytes(s, offset, headerBytes)
	if err != nil || header == nil {
		return nil, err
	}
	length, ok := payloadLength(header)
	if !ok {
		return nil, nil
	}
	frame, err := r.bytes(s, offset, headerBytes+length)
	if err != nil || frame == nil || !checksumMatches(frame, s.salt) {
		return nil, err
	}
	return frame, nil
}

// bytes returns n bytes of a segment, or nil if it ends before.
func (r *Reader) bytes(s segment, offset int64, n int) ([]byte, error) {
	if offset+int64(n) > s.size {
		return nil, nil
	}
	if r.file == nil {
		f, err := os.Open(filepath.Join(r.w.options.Dir, s.name()))
		if err != nil {
			return nil, fmt.Errorf("read the segment %s: %w", s.name(), err)
		}
		r.file, r.fileSeq, r.buf, r.bufStart = f, s.seq, r.buf[:0], 0
	}
	if from := offset - r.bufStart; from >= 0 && from+int64(n) <= int64(len(r.buf)) {
		return r.buf[from : from+int64(n)], nil
	}
	r.buf = r.buf[:min(readAhead, s.size-offset)]
	got, err := r.file.ReadAt(r.buf, offset)
	r.buf, r.bufStart = r.buf[:got], offset
	if got < n {
		return nil, fmt.Errorf("read the segment %s at %d: %w", s.name(), offset+int64(got), err)
	}
	return r.buf[:n], nil
}
