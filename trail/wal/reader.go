package wal

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// readAhead is how many bytes are read at once; more than any frame.
const readAhead = 256 << 10

// Record is one record as it is read.
type Record struct {
	// Time is when it was appended, to the millisecond.
	Time time.Time
	// Payload is valid until the next call of Next.
	Payload []byte
}

// Reader reads the records of a journal in their order, from the oldest that is not released on. It may be used by one
// goroutine.
type Reader struct {
	j  *Journal
	at Position
	// file is the open segment, opened its sequence number, and buf the bytes of it from start on.
	file   *os.File
	opened uint64
	buf    []byte
	start  int64
	// readAt reads a file; tests make it fail.
	readAt  func(f *os.File, buf []byte, offset int64) (int, error)
	trouble trouble
}

// NewReader makes the reader; Close frees its file. What an earlier reader has read and not released arrives once more.
func (j *Journal) NewReader() *Reader {
	if _, found := j.first(); found {
		signal(j.arrived)
	}
	return &Reader{j: j, at: j.released, readAt: (*os.File).ReadAt}
}

// Position is the place before the record that Next answers next.
func (r *Reader) Position() Position { return r.at }

// Close frees the reader's file.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}

// Next answers the next record; ok is false where there is none yet. Damaged bytes are passed over and accounted for
// (Options.Damaged). After an error Next may be called again, and has passed nothing over; what cannot be read for a
// minute is damage too.
func (r *Reader) Next() (record Record, ok bool, err error) {
	record, ok, err = r.next()
	r.note(err)
	return record, ok, err
}

func (r *Reader) next() (record Record, ok bool, err error) {
	for {
		s, active, found := r.segment()
		if err := r.leave(s); err != nil || !found {
			return Record{}, false, err
		}
		frame, err := r.frame(s, r.at.Offset)
		switch {
		case err != nil:
			return Record{}, false, err
		case frame != nil:
			r.at.Offset += int64(len(frame))
			if len(frame) > headerBytes {
				return Record{Time: appendedAt(frame), Payload: frame[headerBytes:]}, true, nil
			}
		case r.at.Offset < s.size:
			if err := r.pass(s); err != nil {
				return Record{}, false, err
			}
		case active:
			return Record{}, false, nil
		default:
			r.at = Position{Segment: s.seq + 1}
		}
	}
}

// leave closes the open file where it is not that of s: once it is deleted it takes its room on the disk until then.
func (r *Reader) leave(s segment) error {
	if r.opened == s.seq {
		return nil
	}
	if err := r.Close(); err != nil {
		return fmt.Errorf("close a segment: %w", err)
	}
	return nil
}

// segment finds the segment to read: the first one from the position on.
func (r *Reader) segment() (s segment, active, found bool) {
	r.j.mu.Lock()
	defer r.j.mu.Unlock()
	for i, s := range r.j.segments {
		if s.seq < r.at.Segment {
			continue
		}
		if s.seq > r.at.Segment {
			r.at = Position{Segment: s.seq}
		}
		return s, i == len(r.j.segments)-1 && r.j.active != nil, true
	}
	return segment{}, false, false
}

// frame answers the good frame at an offset; nil where there is none.
func (r *Reader) frame(s segment, offset int64) ([]byte, error) {
	header, err := r.bytes(s, offset, headerBytes)
	if err != nil || header == nil {
		return nil, err
	}
	length, ok := payloadBytes(header)
	if !ok {
		return nil, nil
	}
	frame, err := r.bytes(s, offset, headerBytes+length)
	if err != nil || frame == nil || !sound(frame, s.salt) {
		return nil, err
	}
	return frame, nil
}

// bytes answers n bytes of a segment; nil where it ends before.
func (r *Reader) bytes(s segment, offset int64, n int) ([]byte, error) {
	if offset+int64(n) > s.size {
		return nil, nil
	}
	if err := r.open(s); err != nil {
		return nil, err
	}
	if from := offset - r.start; from >= 0 && from+int64(n) <= int64(len(r.buf)) {
		return r.buf[from : from+int64(n)], nil
	}
	r.buf = r.buf[:min(readAhead, s.size-offset)]
	got, err := r.read(r.buf, offset)
	r.buf, r.start = r.buf[:got], offset
	if got < n {
		return nil, r.missing(s, offset+int64(got), fmt.Errorf("read a segment: %w", err))
	}
	return r.buf[:n], nil
}

// open opens a segment's file, if it is not open.
func (r *Reader) open(s segment) error {
	if r.file != nil {
		return nil
	}
	f, err := os.Open(filepath.Join(r.j.options.Dir, s.name()))
	if err != nil {
		return r.missing(s, 0, fmt.Errorf("open a segment: %w", err))
	}
	if r.buf == nil {
		r.buf = make([]byte, 0, readAhead)
	}
	r.file, r.opened, r.buf, r.start, r.trouble.met = f, s.seq, r.buf[:0], 0, false
	return nil
}
