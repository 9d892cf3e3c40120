package accesslog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

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

func TestTheTargetOfASymbolicLinkIsRotated(t *testing.T) {
	f := newFixture(t, t.TempDir())
	link := filepath.Join(t.TempDir(), "link.log")
	must(t, os.Symlink(f.path, link))
	f.write(5)
	f.follow(link)
	f.read()
	f.write(2)
	f.copyTruncate()
	f.write(2)
	f.read()
	f.stop()
	f.write(2)
	f.rotate()
	f.reopen()
	f.write(2)
	f.follow(link)
	f.read()
	f.sort()
	f.expect()
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
	f.readOnce(MaxBatch)
	f.age(2 * quietTime) // as if the auth service had not responded
	f.read()
	f.expect()
}

func TestFilesThatGrowBehindOthersAreNotClosed(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.write(1)
	f.start()
	f.rotate()
	must(t, os.WriteFile(f.path, []byte(line(2)), 0o600))
	f.written++
	f.read()
	f.rotate()
	must(t, os.WriteFile(f.path, nil, 0o600))
	f.write(MaxBatch) // into the first file
	second, err := os.OpenFile(f.path+".1", os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	f.written++
	_, err = second.WriteString(line(f.written))
	must(t, errors.Join(err, second.Close()))
	f.readOnce(MaxBatch)
	f.age(2 * quietTime)
	f.read()
	f.expect()
}

func TestACopyIsNotRead(t *testing.T) {
	for name, size := range map[string]int{"complete": 50, "begun": 0, "short": 10} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, t.TempDir())
			f.write(50)
			f.start()
			f.read()
			text, err := os.ReadFile(f.path)
			must(t, err)
			must(t, os.WriteFile(f.path+".1", text[:len(text)*size/50], 0o600))
			f.read()
			must(t, os.WriteFile(f.path+".1", text, 0o600))
			must(t, os.Truncate(f.path, 0))
			f.write(3)
			f.read()
			f.age(2 * settleTime)
			f.read()
			f.expect()
		})
	}
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
	f.got = slices.Compact(f.got)
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
		_, err := OpenFile(f.path, f.state, NewLineReader(Nginx, slog.New(slog.DiscardHandler)), slog.New(slog.DiscardHandler))
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
		"access-2026-11-30T00-00-00.000.log": true, "access-2026-11-30T00-00-00.000.log.gz": true,
		"access.log-20261130-1795999422": true,
		"access.log":                     false, "access.log.state": false, "access.log.state.lock": false,
		"access-api.log": false, "access.logs": false,
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

// A search opens the rotated files that have changed within quietTime before the search before it.
func TestAFileThatWasDroppedIsNotReadAgain(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.start()
	f.write(1)
	f.read()
	f.rotate()
	f.reopen()
	f.write(1)
	f.read()
	old := f.follower.files[0]
	old.rotated = time.Now().Add(-quietTime)
	must(t, os.Chtimes(f.path+".1", time.Time{}, old.rotated))
	f.follower.searched = time.Now().Add(-searchInterval * 9 / 10)
	for range 2 {
		f.readOnce(0)
		must(t, f.follower.search(time.Now()))
	}
	f.readOnce(0)
	f.expect()
	if n := len(f.follower.files); n != 1 {
		t.Errorf("%d files are open", n)
	}
}
