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
	"testing"
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
	lines    *Lines
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
	log := slog.New(slog.NewTextHandler(f.printed, nil))
	f.lines = NewLines(Nginx, log)
	var err error
	f.follower, err = OpenFile(f.path, f.state, f.lines, log)
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

func TestAppendedLinesAreRead(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.start()
	f.read() // there is no file yet
	f.write(3)
	f.read()
	f.written++
	text := line(f.written)
	f.raw(text[:20])
	f.read()
	if len(f.got) != 3 {
		t.Errorf("read a line before its end: %v", f.got)
	}
	f.raw(text[20:])
	f.write(2 * MaxBatch)
	f.read()
	f.expect()
}

func TestRotationWhileReading(t *testing.T) {
	for name, rotate := range map[string]func(*fixture){
		"renamed, and the proxy goes on in the old file": func(f *fixture) {
			f.rotate()
			f.write(2)
			f.read()
			must(f.t, os.WriteFile(f.path, nil, 0o600))
			f.read()
			f.write(2)
			f.read()
			f.reopen()
		},
		"renamed, and created later":              func(f *fixture) { f.rotate(); f.write(1); f.read(); f.reopen() },
		"renamed before the last lines were read": func(f *fixture) { f.write(3); f.rotate(); f.reopen() },
		"renamed twice between readings":          func(f *fixture) { f.rotate(); f.reopen(); f.write(3); f.rotate(); f.reopen() },
		"renamed and compressed": func(f *fixture) {
			f.write(3)
			f.rotate()
			f.compress()
			f.reopen()
		},
		"copied and truncated": func(f *fixture) { f.copyTruncate() },
		"truncated, and longer than before": func(f *fixture) {
			f.copyTruncate()
			f.write(30)
		},
		"truncated twice between readings": func(f *fixture) { f.copyTruncate(); f.write(3); f.read(); f.copyTruncate() },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, t.TempDir())
			f.write(5)
			f.start()
			f.read()
			rotate(f)
			f.write(5)
			f.read()
			f.sort()
			f.expect()
		})
	}
}

// sort is for lines of files that were written at the same time. It removes repeated ones.
func (f *fixture) sort() {
	slices.SortFunc(f.got, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	f.got = slices.Compact(f.got)
}

func TestUnreadLinesOfATruncatedFileAreReadFromItsCopy(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.write(5)
	f.start()
	f.read()
	f.write(7)
	f.copyTruncate()
	f.write(1)
	f.read()
	if len(f.got) != f.written {
		t.Errorf("got %v\n%s", f.got, f.printed)
	}
}

func TestRotationsWhileStopped(t *testing.T) {
	for name, rotate := range map[string]func(*fixture){
		"none":                  func(f *fixture) { f.write(2) },
		"renamed":               func(f *fixture) { f.write(2); f.rotate(); f.reopen(); f.write(2) },
		"renamed three times":   func(f *fixture) { f.write(2); f.renameTimes(3) },
		"copied":                func(f *fixture) { f.write(2); f.copyTruncate(); f.write(2) },
		"copied three times":    func(f *fixture) { f.copyTruncate(); f.write(40); f.copyTruncate(); f.write(2); f.copyTruncate() },
		"renamed, no new file":  func(f *fixture) { f.write(2); f.rotate() },
		"truncated, not copied": func(f *fixture) { must(f.t, os.Truncate(f.path, 0)); f.write(1) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, t.TempDir())
			f.write(5)
			f.start()
			f.read()
			f.stop()
			rotate(f)
			f.start()
			f.read()
			f.sort()
			f.expect()
		})
	}
}

func (f *fixture) renameTimes(n int) {
	for range n {
		f.rotate()
		f.reopen()
		f.write(2)
	}
}

func TestFilesThatCannotBeReadAreReported(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.write(5)
	f.start()
	f.read()
	f.stop()
	f.raw("something more\n")
	f.rotate()
	f.compress()
	must(t, os.Chtimes(f.path+".1.gz", time.Time{}, time.Now()))
	f.reopen()
	f.write(2)
	f.start()
	f.read()
	f.expect()
	for _, text := range []string{"was deleted or compressed", "cannot be read"} {
		if !strings.Contains(f.printed.String(), text) {
			t.Errorf("no %q in\n%s", text, f.printed)
		}
	}
}

func TestAnInodeThatIsUsedAgainIsNotMistaken(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.write(5)
	f.start()
	f.read()
	f.stop()
	// As if access.log had been deleted, and another file had got its number.
	must(t, os.Truncate(f.path, 0))
	f.write(50)
	f.start()
	f.read()
	f.expect()
}

func TestARotatedFileIsClosedWhenItIsQuiet(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.write(5)
	f.start()
	f.read()
	f.rotate()
	f.reopen()
	f.write(1)
	f.read()
	f.age(quietTime - time.Second)
	f.read()
	if len(f.follower.files) != 2 {
		t.Errorf("reads %d files after less than a minute", len(f.follower.files))
	}
	f.age(2 * time.Second)
	f.read()
	if len(f.follower.files) != 1 {
		t.Errorf("reads %d files after a minute", len(f.follower.files))
	}
	f.stop()
	f.write(1)
	f.start()
	f.read()
	f.expect()
}

func TestUnreadFilesAreNotClosed(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.write(MaxBatch)
	f.start()
	f.rotate()
	f.reopen()
	f.write(1)
	f.rotate()
	f.reopen()
	f.write(1)
	first, err := f.follower.Read(t.Context())
	must(t, err)
	if len(first) != MaxBatch {
		t.Fatalf("read %d lines", len(first))
	}
	must(t, f.follower.Commit())
	for _, o := range first {
		f.got = append(f.got, o.GetReportToken())
	}
	f.age(2 * quietTime) // as if the auth service had not responded
	f.stop()
	f.start()
	f.read()
	f.expect()
}

func TestLinesAreReadAgainAfterACrash(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.write(5)
	f.start()
	_, err := f.follower.Read(t.Context())
	must(t, err) // and they are not reported
	f.crash()
	f.start()
	f.read() // reported, and perhaps not saved
	f.crash()
	f.start()
	f.read()
	f.sort()
	f.expect()
}

func TestLongLinesAreSkipped(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.start()
	f.write(1)
	f.raw(`{"x":"` + strings.Repeat("x", 3*maxLine))
	f.read()
	f.raw(strings.Repeat("x", maxLine/2) + "\"}\n\n")
	f.write(1)
	f.raw(`{"x":"` + strings.Repeat("x", maxLine-10) + "\"}\n")
	f.write(1)
	f.read()
	f.expect()
	if n := f.lines.malformed.Load(); n != 1 {
		t.Errorf("%d malformed lines\n%s", n, f.printed)
	}
}

func TestGarbageIsCountedAndSkipped(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.start()
	f.write(1)
	f.raw("\x00\x00garbage\n{\n\xff\xfe\n" + `{"report_token":"cut of{"report_token":"x","status":200,"request_time":1}` + "\n")
	f.write(1)
	f.read()
	f.expect()
	if n := f.lines.malformed.Load(); n != 4 || strings.Count(f.printed.String(), "malformed") != 1 {
		t.Errorf("%d malformed lines\n%s", n, f.printed)
	}
}

func TestOneProcessUsesAState(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.start()
	_, err := OpenFile(f.path, f.state, f.lines, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "--state: "+f.state+" is used by another process") {
		t.Errorf("a second process: %v", err)
	}
}

func TestWrongFiles(t *testing.T) {
	f := newFixture(t, t.TempDir())
	must(t, os.Mkdir(f.path, 0o700))
	must(t, os.WriteFile(f.state, []byte("{"), 0o600))
	open := func() string {
		_, err := OpenFile(f.path, f.state, NewLines(Nginx, slog.New(slog.DiscardHandler)), slog.New(slog.DiscardHandler))
		return fmt.Sprint(err)
	}
	if got := open(); !strings.Contains(got, "--state: read the state "+f.state) {
		t.Errorf("a damaged state: %s", got)
	}
	must(t, os.Remove(f.state))
	if got := open(); !strings.Contains(got, "--file: "+f.path+" is not a regular file") {
		t.Errorf("a directory: %s", got)
	}
}

func TestRotatedNames(t *testing.T) {
	for name, want := range map[string]bool{
		"access.log.1": true, "access.log.12": true, "access.log-20261130": true, "access.log.1.gz": true, "access.1.log": true,
		"access-2026-11-30T00-00-00.000.log": true, "access-2026-11-30T00-00-00.000.log.gz": true, "access.log-20261130-1795999422": true,
		"access.log": false, "access.log.state": false, "access.log.state.lock": false, "access-api.log": false, "access.logs": false,
		"xaccess.log.1": false, "error.log.1": false,
	} {
		if got := rotatedNames("access.log").MatchString(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestNothingIsReadAfterTheEnd(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.write(1)
	f.start()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if outcomes, err := f.follower.Read(ctx); len(outcomes) > 0 || err != nil {
		t.Errorf("read %v, %v", outcomes, err)
	}
}

func must(t testingT, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
