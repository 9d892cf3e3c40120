package wal

import (
	"slices"
	"testing"
)

// FuzzRecovery overwrites, inserts or deletes bytes anywhere in a segment.
func FuzzRecovery(f *testing.F) {
	good := nasty(0xcafe)
	f.Add(uint8(0), uint16(0), []byte{0})
	f.Add(uint8(0), uint16(good.start(3)), []byte(magic+"\xff\xff\xff\xff"))
	f.Add(uint8(0), uint16(good.start(2)+4), []byte{0, 0, 1, 0})
	f.Add(uint8(1), uint16(good.start(1)), []byte("junk between two records"))
	f.Add(uint8(1), uint16(good.start(4)+7), good.bytes[:good.ends[0]-1])
	f.Add(uint8(1), uint16(len(good.bytes)), make([]byte, readAhead+10))
	f.Add(uint8(1), uint16(0), make([]byte, readAhead-5))
	f.Add(uint8(2), uint16(0), good.bytes[:headerBytes])
	f.Add(uint8(2), uint16(good.start(5)-3), make([]byte, 30))
	f.Add(uint8(2), uint16(good.start(4)-7), make([]byte, len(magic))) // as good as the next frame's magic
	f.Fuzz(func(t *testing.T, kind uint8, position uint16, junk []byte) {
		at := min(int(position), len(good.bytes))
		end := min(at+len(junk), len(good.bytes)) // of what is touched
		bad := slices.Clone(good.bytes[:at])
		switch kind % 3 {
		case 0:
			bad = append(bad, junk[:end-at]...)
		case 1:
			bad, end = append(bad, junk...), at
		}
		bad = append(bad, good.bytes[end:]...)
		at, end = widen(good.bytes, bad, at, end)

		dir := directory{t.TempDir()}
		dir.lay(t, nil, &image{salt: good.salt, bytes: bad})
		got := dir.open(t).records
		if !subsequence(got, good.records) {
			t.Fatalf("read %q, which are no subsequence of %q", got, good.records)
		}
		var untouched []string
		for i, record := range good.records {
			if good.ends[i] <= at || good.start(i) >= end {
				untouched = append(untouched, record)
			}
		}
		if !subsequence(untouched, got) {
			t.Fatalf("read %q, want all of %q", got, untouched)
		}
	})
}

// widen returns the largest range that the change may have touched: inserting or deleting the same bytes at another place
// can have the same result.
func widen(good, bad []byte, at, end int) (int, int) {
	if len(good) == len(bad) {
		return at, end
	}
	shorter := min(len(good), len(bad))
	front, back := 0, 0 // how many bytes are the same there
	for front < shorter && good[front] == bad[front] {
		front++
	}
	for back < shorter && good[len(good)-1-back] == bad[len(bad)-1-back] {
		back++
	}
	return min(at, shorter-back), max(end, front+max(0, len(good)-len(bad)))
}

// subsequence reports whether a is b without some of its elements.
func subsequence(a, b []string) bool {
	for _, element := range b {
		if len(a) > 0 && a[0] == element {
			a = a[1:]
		}
	}
	return len(a) == 0
}
