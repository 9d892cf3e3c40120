package wal

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// segment is one file of frames, named after its sequence number and its salt.
type segment struct {
	seq  uint64
	salt uint32
	// size is how many bytes of it are written for good.
	size int64
}

const segmentSuffix = ".seg"

func (s segment) name() string { return fmt.Sprintf("%016x-%08x%s", s.seq, s.salt, segmentSuffix) }

// listSegments finds the segments of a folder, oldest first. Other files are left alone.
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

// Left tells whether bytes of segments that are not released are in a folder, which need not be there: records may wait
// in them. Nothing is changed, and another process may have the journal open.
func Left(dir string) (bool, error) {
	segments, err := listSegments(dir)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	released, err := readCursor(dir)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(segments, func(s segment) bool {
		return s.seq > released.Segment || s.seq == released.Segment && s.size > released.Offset
	}), nil
}

// createSegment makes the file of a new segment, for its owner alone.
func createSegment(dir string, s segment) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, s.name()), os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make a segment: %w", err)
	}
	return f, nil
}
