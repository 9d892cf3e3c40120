package wal

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// childDir, where it is set, makes the test binary a process that has the journal of that folder open.
const childDir = "KEYTRAIL_TEST_JOURNAL"

func TestMain(m *testing.M) {
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := child(dir); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// child appends numbers to a journal until it is killed, and prints each once it is answered for.
func child(dir string) error {
	j, err := Open(Options{
		Dir: dir, MaxBytes: 1 << 30, Fsync: time.Hour, Log: slog.New(slog.DiscardHandler),
		Damaged: func(int64) {}, Synced: func(time.Duration) {},
	})
	if err != nil {
		return err
	}
	for i := uint64(0); ; i++ {
		if err := j.Append(context.Background(), binary.BigEndian.AppendUint64(nil, i)); err != nil {
			return err
		}
		fmt.Println(i)
	}
}

// startChild runs a child; lines is what it prints.
func startChild(t *testing.T, dir string) (process *exec.Cmd, lines *bufio.Scanner) {
	t.Helper()
	process = exec.Command(os.Args[0])
	process.Env = append(os.Environ(), childDir+"="+dir)
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	return process, bufio.NewScanner(out)
}

// watch is what a journal told its owner.
type watch struct {
	damaged, syncs atomic.Int64
	log            strings.Builder
}

// openJournal opens a journal that is closed at the end of the test, unless the test does.
func openJournal(t testing.TB, dir string, change func(*Options)) (*Journal, *watch) {
	t.Helper()
	w := &watch{}
	options := Options{
		Dir: dir, MaxBytes: 1 << 20, Fsync: time.Hour,
		Log:     slog.New(slog.NewTextHandler(&w.log, nil)),
		Damaged: func(bytes int64) { w.damaged.Add(bytes) },
		Synced:  func(time.Duration) { w.syncs.Add(1) },
	}
	if change != nil {
		change(&options)
	}
	j, err := Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !j.closed {
			mustClose(t, j)
		}
	})
	return j, w
}

func mustClose(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

func mustAppend(t testing.TB, j *Journal, records ...string) {
	t.Helper()
	if err := appendStrings(j, records...); err != nil {
		t.Fatal(err)
	}
}

func appendStrings(j *Journal, records ...string) error {
	payloads := make([][]byte, len(records))
	for i, record := range records {
		payloads[i] = []byte(record)
	}
	return j.Append(context.Background(), payloads...)
}

func newReader(t testing.TB, j *Journal) *Reader {
	r := j.NewReader()
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// readAll reads to the end; it fails the test where a read fails.
func readAll(t testing.TB, r *Reader) (records []string) {
	t.Helper()
	for {
		record, ok, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return records
		}
		records = append(records, string(record.Payload))
	}
}

func mustRelease(t testing.TB, j *Journal, r *Reader) {
	t.Helper()
	if err := j.Release(r.Position()); err != nil {
		t.Fatal(err)
	}
}

// segmentFiles are the paths of the segments of a folder, oldest first.
func segmentFiles(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func bytesOnDisk(t testing.TB, dir string) (sum int64) {
	t.Helper()
	for _, file := range segmentFiles(t, dir) {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	return sum
}

// eventually waits until something is so; it fails the test where it is not within a minute.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// memoryDir is a folder in memory, where there is such a thing: for tests that make thousands of files.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "journal")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
