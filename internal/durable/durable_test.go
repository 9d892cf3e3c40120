package durable

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestReplaceWritesAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	writing := func(text string, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			_, writeErr := io.WriteString(w, text)
			return errors.Join(writeErr, err)
		}
	}
	broken := errors.New("broken off")
	old, recent := filepath.Join(dir, ".file.1"), filepath.Join(dir, ".file.2")
	for _, abandoned := range []string{old, recent} {
		must(t, os.WriteFile(abandoned, nil, 0o600))
	}
	must(t, os.Chtimes(old, time.Time{}, time.Now().Add(-2*abandonedAfter)))
	for _, step := range []struct {
		text string
		err  error
		want string
	}{{"first", nil, "first"}, {"second", broken, "first"}, {"third", nil, "third"}} {
		if err := Replace(path, writing(step.text, step.err)); !errors.Is(err, step.err) {
			t.Errorf("%s: error %v", step.text, err)
		}
		got, err := os.ReadFile(path)
		must(t, err)
		info, err := os.Stat(path)
		must(t, err)
		if string(got) != step.want || info.Mode() != 0o600 {
			t.Errorf("after %s: %q with the mode %v", step.text, got, info.Mode())
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	must(t, err)
	if len(left) != 1 || left[0] != recent {
		t.Errorf("left: %q", left)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
