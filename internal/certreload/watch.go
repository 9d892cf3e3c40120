package certreload

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// lookEvery is how often the files are looked at, at the most: a handshake must not wait for a disk every time.
const lookEvery = time.Second

// watched is what files hold, read again when they have changed. There is nobody who waits for changes: whoever asks
// for the value looks.
type watched[T any] struct {
	paths []string
	parse func(texts [][]byte) (T, error)
	log   *slog.Logger

	mu     sync.Mutex
	looked time.Time
	// seen is how the files were when they were read; nil in place of one that was not there.
	seen  []os.FileInfo
	value T
}

// watch reads the files. parse gets their texts in the order of the paths.
func watch[T any](log *slog.Logger, parse func([][]byte) (T, error), paths ...string) (*watched[T], error) {
	w := &watched[T]{paths: paths, parse: parse, log: log, looked: time.Now()}
	w.seen = w.look()
	var err error
	w.value, err = w.read()
	return w, err
}

// current answers what the files hold. What cannot be used leaves the value that was there in use, and is logged once:
// two files are rarely replaced at the same moment, and half of a replacement must not stop the service.
func (w *watched[T]) current() T {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.looked) < lookEvery {
		return w.value
	}
	w.looked = time.Now()
	// Looked at before they are read: what changes meanwhile is seen the next time.
	seen := w.look()
	if slices.EqualFunc(seen, w.seen, unchanged) {
		return w.value
	}
	w.seen = seen
	value, err := w.read()
	if err != nil {
		w.log.Error("the TLS files cannot be used as they are now; what they held before stays in use", "files", w.paths, "error", err)
		return w.value
	}
	w.log.Info("the TLS files have changed and are in use", "files", w.paths)
	w.value = value
	return w.value
}

func (w *watched[T]) look() []os.FileInfo {
	seen := make([]os.FileInfo, len(w.paths))
	for i, path := range w.paths {
		if info, err := os.Stat(path); err == nil {
			seen[i] = info
		}
	}
	return seen
}

func unchanged(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == b
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

func (w *watched[T]) read() (none T, err error) {
	texts := make([][]byte, len(w.paths))
	for i, path := range w.paths {
		if texts[i], err = os.ReadFile(path); err != nil {
			return none, err // it names the file
		}
	}
	value, err := w.parse(texts)
	if err != nil {
		return none, fmt.Errorf("%q: %w", w.paths, err)
	}
	return value, nil
}
