package wal

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestASecondOpenIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "too")
	j, _ := openJournal(t, dir, nil)
	other, err := Open(j.options)
	if err == nil {
		mustClose(t, other)
	}
	if err == nil || !strings.Contains(err.Error(), dir+" is in use") {
		t.Errorf("the second Open: %v", err)
	}
	process, lines := startChild(t, dir)
	lines.Scan()
	if !strings.Contains(lines.Text(), dir+" is in use") {
		t.Errorf("the other process prints %q", lines.Text())
	}
	if err := process.Wait(); err == nil {
		t.Error("the other process has ended without an error")
	}
	mustClose(t, j)
	openJournal(t, dir, nil)
}

func TestAKilledProcessLosesNothingAndLetsGo(t *testing.T) {
	dir := t.TempDir()
	process, lines := startChild(t, dir)
	acknowledged := uint64(0)
	for acknowledged < 500 && lines.Scan() {
		acknowledged++
	}
	refused, err := Open(Options{Dir: dir})
	if err == nil {
		mustClose(t, refused)
		t.Error("Open took the folder of a process that runs")
	}
	if err := process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		acknowledged++
	}
	if err := process.Wait(); process.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the process ended by itself: %v", err)
	}
	j, _ := openJournal(t, dir, nil)
	got := readAll(t, newReader(t, j))
	for i, record := range got {
		if n := binary.BigEndian.Uint64([]byte(record)); n != uint64(i) {
			t.Fatalf("record %d is %d", i, n)
		}
	}
	if n := uint64(len(got)); n < acknowledged || n > acknowledged+1 {
		t.Errorf("%d records are left of %d that were acknowledged", n, acknowledged)
	}
}

// Another process could lock the folder once its lock is another file, and take away what is appended.
func TestAnotherHandTakesTheLock(t *testing.T) {
	j, _ := openJournal(t, t.TempDir(), func(o *Options) { o.Fsync = time.Millisecond })
	mustAppend(t, j, "before")
	move(t, j.lock.Path(), j.lock.Path()+".away")
	if err := os.WriteFile(j.lock.Path(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "appends are refused", func() bool {
		err := appendStrings(j, "maybe")
		return err != nil && strings.Contains(err.Error(), "is not the lock that this process holds")
	})
	move(t, j.lock.Path()+".away", j.lock.Path())
	eventually(t, "appends work again", func() bool { return appendStrings(j, "after") == nil })
}
