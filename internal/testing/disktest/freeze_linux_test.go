package disktest

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAFrozenDiskHoldsUpWritesUntilItIsThawed(t *testing.T) {
	t.Parallel()
	disk := Freezable(t, 16<<20)
	file := filepath.Join(disk.Dir, "file")
	if err := os.WriteFile(file, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := disk.Freeze(); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(file); err != nil || string(text) != "before" {
			t.Errorf("on the frozen disk %q is read, %v", text, err)
		}
		if err := run("fsfreeze", "-f", disk.Dir); err == nil {
			t.Error("the disk was not frozen")
		}
		written := make(chan error, 1)
		go func() { written <- os.WriteFile(filepath.Join(disk.Dir, "other"), nil, 0o600) }()
		select {
		case err := <-written:
			t.Fatalf("a write to the frozen disk has ended: %v", err)
		default:
		}
		if err := disk.Thaw(); err != nil {
			t.Fatal(err)
		}
		if err := <-written; err != nil {
			t.Error(err)
		}
	}
	// The end of the test thaws it.
	if err := disk.Freeze(); err != nil {
		t.Fatal(err)
	}
}
