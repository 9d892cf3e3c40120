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
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// childDir is the environment variable that makes the test binary a process that has the log in a directory open.
const childDir = "KEYTRAIL_TEST_WAL"

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

// child appends numbers to a log until it is killed, and prints each once Append has returned.
func child(dir string) error {
	w, err := Open(Options{
		Dir: dir, MaxBytes: 1 << 30, Fsync: time.Hour, StallTimeout: time.Minute, Log: slog.New(slog.DiscardHandler),
		Damaged: func(int64) {}, Synced: func(time.Duration) {},
	})
	if err != nil {
		return err
	}
	for i := uint64(0); ; i++ {
		if err := w.Append(context.Background(), binary.BigEndian.AppendUint64(nil, i)); err != nil {
			return err
		}
		fmt.Println(i)
	}
}

// startChild starts a child; lines is its output.
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

// watch records the callbacks and log lines of a log.
type watch struct {
	damaged, syncs atomic.Int64
	mu             sync.Mutex
	log            strings.Builder
}

// Write is for the log, which is written concurrently.
func (s *watch) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(line)
}

// text returns what was logged.
func (s *watch) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// openTestWAL opens a log that is closed at the end of the test, unless the test does.
func openTestWAL(t testing.TB, dir string, change func(*Options)) (*WAL, *watch) {
	t.Helper()
	seen := &watch{}
	options := Options{
		Dir: dir, MaxBytes: 1 << 20, Fsync: time.Hour, StallTimeout: time.Minute,
		Log:     slog.New(slog.NewTextHandler(seen, nil)),
		Damaged: func(bytes int64) { seen.damaged.Add(bytes) },
		Synced:  func(time.Duration) { seen.syncs.Add(1) },
	}
	if change != nil {
		change(&options)
	}
	w, err := Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !w.closed {
			mustClose(t, w)
		}
	})
	return w, seen
}

func mustClose(t testing.TB, w *WAL) {
	t.Helper()
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

func mustAppend(t testing.TB, w *WAL, records ...string) {
	t.Helper()
	if err := appendStrings(w, records...); err != nil {
		t.Fatal(err)
	}
}

func appendStrings(w *WAL, records ...string) error {
	payloads := make([][]byte, len(records))
	for i, record := range records {
		payloads[i] = []byte(record)
	}
	return w.Append(context.Background(), payloads...)
}

func newReader(t testing.TB, w *WAL) *Reader {
	r := w.NewReader()
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// readAll reads to the end; it fails the test if a read fails.
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

func mustRelease(t testing.TB, w *WAL, r *Reader) {
	t.Helper()
	if err := w.Release(r.Position()); err != nil {
		t.Fatal(err)
	}
}

// segmentFiles returns the paths of the segments of a directory, oldest first.
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

// eventually waits until a condition holds; it fails the test after a minute.
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

// memoryDir returns a directory in memory if the platform has one, for tests that create thousands of files.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "wal")
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
