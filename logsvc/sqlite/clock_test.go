package sqlite

import (
	"path/filepath"
	"testing"
	"time"
)

// TestTimeDoesNotGoBack has the clocks of processes that use a file one after the other.
func TestTimeDoesNotGoBack(t *testing.T) {
	path, noon := filepath.Join(t.TempDir(), "logs.db"), time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		name        string
		clock, want time.Duration
	}{
		{"the first time", 0, 0},
		{"a little later", 50 * time.Second, 50 * time.Second},
		{"a little back", -time.Minute, -time.Minute},
		{"too far back", -time.Minute - time.Millisecond, 0},
		{"a month ahead", 720 * time.Hour, 720 * time.Hour},
		{"right again", time.Minute, 720 * time.Hour},
		{"nearly there", 720*time.Hour - time.Minute, 720*time.Hour - time.Minute},
	} {
		store := open(t, path)
		got, err := store.Time(t.Context(), noon.Add(step.clock))
		if err != nil || !got.Equal(noon.Add(step.want)) {
			t.Errorf("%s: %v, %v; want %v", step.name, got, err, noon.Add(step.want))
		}
		must(t, store.Close())
	}
	store := open(t, path)
	must(t, store.SetTime(t.Context(), noon))
	if got, err := store.Time(t.Context(), noon.Add(time.Second)); err != nil || !got.Equal(noon.Add(time.Second)) {
		t.Errorf("after it was set: %v, %v", got, err)
	}
}
