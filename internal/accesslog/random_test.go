package accesslog

import (
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestNothingIsLostInARandomHistory rotates, stops and crashes at random. Rotated files are kept.
func TestNothingIsLostInARandomHistory(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		must(r, err)
		f := newFixture(r, dir)
		f.write(1)
		f.start()
		steps := rapid.SliceOfN(rapid.SampledFrom([]string{
			"write", "write much", "part", "read", "read", "rename", "reopen", "create", "copy", "restart", "crash", "age",
		}), 1, 60).Draw(r, "steps")
		for _, step := range steps {
			f.step(step)
		}
		f.endPart()
		f.write(1)
		f.age(2 * settleTime)
		f.read()
		f.sort()
		f.got = slices.Compact(f.got)
		f.expect()
	})
}

// step does one thing that may happen to the file or its reader.
func (f *fixture) step(name string) {
	f.t.Helper()
	switch name {
	case "write":
		f.endPart()
		f.write(3)
	case "write much":
		f.endPart()
		f.write(MaxBatch)
	case "part":
		f.raw(line(f.written + 1)[:30])
		f.partial = true
	case "read":
		f.read()
	case "rename":
		if _, err := os.Stat(f.path); err == nil {
			f.rotate()
		}
	case "create":
		file, err := os.OpenFile(f.path, os.O_CREATE, 0o600)
		must(f.t, err)
		must(f.t, file.Close())
	case "reopen":
		f.reopen()
	case "copy":
		if _, err := os.Stat(f.path); err == nil {
			f.copyTruncate()
		}
	case "restart":
		f.stop()
		f.start()
	case "crash":
		f.crash()
		f.start()
	case "age":
		f.reopen() // a proxy does not go on in the old file for a minute
		f.age(2 * settleTime)
		f.read()
		f.age(2 * quietTime)
	}
}

// endPart ends the part of a line.
func (f *fixture) endPart() {
	f.t.Helper()
	if f.partial {
		f.raw("\n")
	}
	f.partial = false
}
