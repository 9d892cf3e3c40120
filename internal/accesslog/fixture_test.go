package accesslog

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// testingT is a *testing.T or a *rapid.T.
type testingT interface {
	rapid.TB
	Cleanup(func())
	Context() context.Context
}

// fixture has an access log, and a follower that reads it.
type fixture struct {
	t        testingT
	path     string
	state    string
	printed  *bytes.Buffer
	lines    *LineReader
	follower *Follower
	// writer is the proxy's open file.
	writer *os.File
	// partial is set if the last line has no end.
	partial bool
	// written counts lines; got are the tokens that were read.
	written int
	got     []string
}

func newFixture(t testingT, dir string) *fixture {
	f := &fixture{t: t, path: filepath.Join(dir, "access.log"), state: filepath.Join(dir, "access.state"), printed: &bytes.Buffer{}}
	t.Cleanup(func() {
		if f.follower != nil {
			must(t, f.follower.Close())
		}
		if f.writer != nil {
			must(t, f.writer.Close())
		}
	})
	return f
}

// start begins to follow.
func (f *fixture) start() {
	f.t.Helper()
	f.follow(f.path)
}

func (f *fixture) follow(path string) {
	f.t.Helper()
	log := slog.New(slog.NewTextHandler(f.printed, nil))
	f.lines = NewLineReader(Nginx, log)
	var err error
	f.follower, err = OpenFile(path, f.state, f.lines, log)
	must(f.t, err)
	f.follower.pause = 0
}

// stop ends the follower, and crash ends it without writing the state.
func (f *fixture) stop() {
	f.t.Helper()
	must(f.t, f.follower.Close())
	f.follower = nil
}

func (f *fixture) crash() {
	f.t.Helper()
	f.follower.changed = false
	f.stop()
}

// reopen makes the proxy open its file again.
func (f *fixture) reopen() {
	f.t.Helper()
	if f.writer != nil {
		must(f.t, f.writer.Close())
	}
	var err error
	f.writer, err = os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	must(f.t, err)
}

func (f *fixture) raw(text string) {
	f.t.Helper()
	if f.writer == nil {
		f.reopen()
	}
	_, err := io.WriteString(f.writer, text)
	must(f.t, err)
}

// write writes n lines with the tokens t1, t2 and so on.
func (f *fixture) write(n int) {
	f.t.Helper()
	for range n {
		f.written++
		f.raw(line(f.written))
	}
}

func line(n int) string {
	return fmt.Sprintf(`{"report_token":"t%d","status":200,"request_time":0.001}`+"\n", n)
}

// read reads all that there is.
func (f *fixture) read() {
	f.t.Helper()
	f.follower.searched = f.follower.searched.Add(-searchInterval)
	for {
		outcomes, err := f.follower.Read(f.t.Context())
		must(f.t, err)
		must(f.t, f.follower.Commit())
		for _, outcome := range outcomes {
			f.got = append(f.got, outcome.GetReportToken())
		}
		if len(outcomes) == 0 && !slices.ContainsFunc(f.follower.files, func(file *logFile) bool { return !file.atEnd }) {
			return
		}
	}
}

// readOnce reads once, which must return n lines.
func (f *fixture) readOnce(n int) {
	f.t.Helper()
	outcomes, err := f.follower.Read(f.t.Context())
	must(f.t, err)
	must(f.t, f.follower.Commit())
	if len(outcomes) != n {
		f.t.Fatalf("read %d lines, want %d", len(outcomes), n)
	}
	for _, outcome := range outcomes {
		f.got = append(f.got, outcome.GetReportToken())
	}
}

// expect wants each line once, in the order of writing.
func (f *fixture) expect() {
	f.t.Helper()
	for n := range max(f.written, len(f.got)) {
		if want := fmt.Sprintf("t%d", n+1); n >= f.written || n >= len(f.got) || f.got[n] != want {
			f.t.Fatalf("got %v as line %d of %d\n%s", f.got[n:min(n+3, len(f.got))], n+1, f.written, f.printed)
		}
	}
}

// rotate renames the file to access.log.1, and older ones accordingly.
func (f *fixture) rotate() {
	f.t.Helper()
	f.shift()
	must(f.t, os.Rename(f.path, f.path+".1"))
	f.settle()
}

// settle makes access.log.1 a bit older.
func (f *fixture) settle() {
	f.t.Helper()
	must(f.t, os.Chtimes(f.path+".1", time.Time{}, time.Now().Add(-2*settleTime)))
}

// copyTruncate copies the file to access.log.1, and truncates it.
func (f *fixture) copyTruncate() {
	f.t.Helper()
	f.shift()
	text, err := os.ReadFile(f.path)
	must(f.t, err)
	must(f.t, os.WriteFile(f.path+".1", text, 0o600))
	must(f.t, os.Truncate(f.path, 0))
	f.settle()
}

// compress compresses access.log.1 as gzip does: the new file has the time of the old one.
func (f *fixture) compress() {
	f.t.Helper()
	info, err := os.Stat(f.path + ".1")
	must(f.t, err)
	must(f.t, os.WriteFile(f.path+".1.gz", []byte("compressed"), 0o600))
	must(f.t, os.Chtimes(f.path+".1.gz", time.Time{}, info.ModTime()))
	must(f.t, os.Remove(f.path+".1"))
}

func (f *fixture) shift() {
	f.t.Helper()
	for n := 20; n > 0; n-- {
		if err := os.Rename(fmt.Sprintf("%s.%d", f.path, n), fmt.Sprintf("%s.%d", f.path, n+1)); err != nil && !os.IsNotExist(err) {
			f.t.Fatal(err)
		}
	}
}

// age makes all files older.
func (f *fixture) age(by time.Duration) {
	f.t.Helper()
	names, err := filepath.Glob(f.path + "*")
	must(f.t, err)
	for _, name := range names {
		info, err := os.Stat(name)
		must(f.t, err)
		must(f.t, os.Chtimes(name, time.Time{}, info.ModTime().Add(-by)))
	}
	for _, file := range f.follower.files {
		if !file.rotated.IsZero() {
			file.rotated = file.rotated.Add(-by)
		}
	}
}

// sort is for lines of files that were written at the same time.
func (f *fixture) sort() {
	slices.SortFunc(f.got, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
}

func (f *fixture) renameTimes(n int) {
	for range n {
		f.rotate()
		f.reopen()
		f.write(2)
	}
}

func must(t testingT, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
