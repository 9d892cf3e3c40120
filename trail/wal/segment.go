package wal

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// segment is a file of frames. Its name is its sequence number and its salt.
type segment struct {
	seq  uint64
	salt uint32
	// size is the number of bytes written to it.
	size int64
}

const segmentSuffix = ".seg"

func (s segment) name() string { return fmt.Sprintf("%016x-%08x%s", s.seq, s.salt, segmentSuffix) }

// listSegments returns the segments in a directory, oldest first. It ignores other files.
func listSegments(dir string) ([]segment, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list the segments: %w", err)
	}
	var found []segment
	for _, file := range files {
		var s segment
		if n, _ := fmt.Sscanf(file.Name(), "%16x-%8x"+segmentSuffix, &s.seq, &s.salt); n != 2 || s.name() != file.Name() {
			continue
		}
		info, err := file.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list the segments: %w", err)
		}
		s.size = info.Size()
		found = append(found, s)
	}
	slices.SortFunc(found, func(a, b segment) int { return cmp.Compare(a.seq, b.seq) })
	return found, nil
}

// HasBacklog reports whether a directory has segments with bytes that are not released. The directory need not exist,
// and another process may have the log open.
func HasBacklog(dir string) (bool, error) {
	segments, err := listSegments(dir)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	cursor, err := os.ReadFile(filepath.Join(dir, cursorFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, fmt.Errorf("read the cursor: %w", err)
	}
	return backlog(segments, parseCursor(cursor)) > 0, nil
}

// backlog returns how many bytes of segments are not released.
func backlog(segments []segment, released Position) (bytes int64) {
	for _, s := range segments {
		switch {
		case s.seq > released.Segment:
			bytes += s.size
		case s.seq == released.Segment:
			bytes += max(0, s.size-released.Offset)
		}
	}
	return bytes
}

// Position is a position between two records.
type Position struct {
	// Segment is the sequence number of a segment, Offset a number of bytes in it.
	Segment uint64
	Offset  int64
}

func (p Position) before(q Position) bool {
	return cmp.Or(cmp.Compare(p.Segment, q.Segment), cmp.Compare(p.Offset, q.Offset)) < 0
}

// cursorFile holds the position before which everything is released: "KTC1", segment, offset and a CRC-32C of these,
// 24 bytes, little endian. It is not synced: an older cursor after a crash only repeats records.
const (
	cursorFile  = "cursor"
	cursorMagic = "KTC1"
	cursorBytes = 24
)

// openCursor opens the cursor file and returns its position.
func openCursor(dir string) (*os.File, Position, error) {
	f, err := os.OpenFile(filepath.Join(dir, cursorFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, Position{}, fmt.Errorf("open the cursor: %w", err)
	}
	cursor := make([]byte, cursorBytes)
	if _, err := f.ReadAt(cursor, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, Position{}, errors.Join(fmt.Errorf("read the cursor: %w", err), f.Close())
	}
	p := parseCursor(cursor)
	// The file is allocated now, so that Release can write it when the disk is full. An error matters only then.
	_, _ = f.WriteAt(formatCursor(p), 0)
	return f, p, nil
}

// parseCursor returns the position in a cursor file; a missing or damaged cursor is the beginning.
func parseCursor(cursor []byte) Position {
	if len(cursor) != cursorBytes || string(cursor[:4]) != cursorMagic ||
		crc32.Checksum(cursor[:20], castagnoli) != binary.LittleEndian.Uint32(cursor[20:]) {
		return Position{}
	}
	return Position{Segment: binary.LittleEndian.Uint64(cursor[4:]), Offset: int64(binary.LittleEndian.Uint64(cursor[12:]))}
}

func formatCursor(p Position) []byte {
	cursor := append(make([]byte, 0, cursorBytes), cursorMagic...)
	cursor = binary.LittleEndian.AppendUint64(cursor, p.Segment)
	cursor = binary.LittleEndian.AppendUint64(cursor, uint64(p.Offset))
	return binary.LittleEndian.AppendUint32(cursor, crc32.Checksum(cursor, castagnoli))
}
