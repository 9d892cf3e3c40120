package wal

import (
	"encoding/binary"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestASecondOpenIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "too")
	w, _ := openTestWAL(t, dir, nil)
	other, err := Open(w.options)
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
	mustClose(t, w)
	openTestWAL(t, dir, nil)
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
		t.Error("Open took the directory of a process that runs")
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
	w, _ := openTestWAL(t, dir, nil)
	got := readAll(t, newReader(t, w))
	for i, record := range got {
		if n := binary.BigEndian.Uint64([]byte(record)); n != uint64(i) {
			t.Fatalf("record %d is %d", i, n)
		}
	}
	if n := uint64(len(got)); n < acknowledged || n > acknowledged+1 {
		t.Errorf("%d records are left of %d that were acknowledged", n, acknowledged)
	}
}
