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
)

// Position is a place between two records.
type Position struct {
	// Segment is the sequence number of a segment, Offset a place in it in bytes.
	Segment uint64
	Offset  int64
}

func (p Position) before(q Position) bool {
	return cmp.Or(cmp.Compare(p.Segment, q.Segment), cmp.Compare(p.Offset, q.Offset)) < 0
}

// cursorFile keeps the position up to which everything is released: "KTC1", segment, offset and a CRC-32C of those,
// 24 bytes, little endian. It is not synced: a cursor that a crash takes back only repeats records.
const (
	cursorFile  = "cursor"
	cursorMagic = "KTC1"
	cursorBytes = 24
)

// openCursor reads the cursor; one that is not there or damaged is the beginning.
func openCursor(dir string) (*os.File, Position, error) {
	f, err := os.OpenFile(filepath.Join(dir, cursorFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, Position{}, fmt.Errorf("open the cursor: %w", err)
	}
	var text [cursorBytes]byte
	if _, err := f.ReadAt(text[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, Position{}, errors.Join(fmt.Errorf("read the cursor: %w", err), f.Close())
	}
	p := parseCursor(text)
	// It takes its room on the disk now, so that Release can write it when the disk is full. Where it is full already
	// it does not matter before then.
	_, _ = f.WriteAt(formatCursor(p), 0)
	return f, p, nil
}

// readCursor only reads the cursor; one that is not there is the beginning, too.
func readCursor(dir string) (Position, error) {
	content, err := os.ReadFile(filepath.Join(dir, cursorFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return Position{}, fmt.Errorf("read the cursor: %w", err)
	}
	var text [cursorBytes]byte
	copy(text[:], content)
	return parseCursor(text), nil
}

func parseCursor(text [cursorBytes]byte) Position {
	sum := binary.LittleEndian.Uint32(text[20:])
	if string(text[:4]) != cursorMagic || crc32.Checksum(text[:20], castagnoli) != sum {
		return Position{}
	}
	return Position{
		Segment: binary.LittleEndian.Uint64(text[4:]),
		Offset:  int64(binary.LittleEndian.Uint64(text[12:])),
	}
}

func formatCursor(p Position) []byte {
	text := append(make([]byte, 0, cursorBytes), cursorMagic...)
	text = binary.LittleEndian.AppendUint64(text, p.Segment)
	text = binary.LittleEndian.AppendUint64(text, uint64(p.Offset))
	return binary.LittleEndian.AppendUint32(text, crc32.Checksum(text, castagnoli))
}
