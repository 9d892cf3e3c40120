package storetest

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keytrail/keytrail/authsvc"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// equal compares exactly: an empty slice is not nil.
func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

// holds checks that the store has the key exactly so.
func holds(t *testing.T, store authsvc.Store, want authsvc.Key) {
	t.Helper()
	got, err := store.Get(t.Context(), want.WorkspaceID, want.ID)
	must(t, err)
	equal(t, "Get", got, want)
}

// lacks checks that the store has no such key.
func lacks(t *testing.T, store authsvc.Store, key authsvc.Key) {
	t.Helper()
	got, err := store.Get(t.Context(), key.WorkspaceID, key.ID)
	wantError(t, "Get", err, authsvc.ErrNotFound)
	equal(t, "the key beside the error", got, authsvc.Key{})
}

// quiet checks that nothing changed after the revision since.
func quiet(t *testing.T, store authsvc.Store, since authsvc.Revision) {
	t.Helper()
	if all := changesSince(t, store, since); len(all) > 0 {
		t.Errorf("%d changes after revision %d, want none: %+v", len(all), since, all)
	}
}

// onlyChange is the one change after the revision since.
func onlyChange(t *testing.T, store authsvc.Store, since authsvc.Revision) authsvc.Change {
	t.Helper()
	all := changesSince(t, store, since)
	if len(all) != 1 {
		t.Fatalf("%d changes after revision %d, want 1: %+v", len(all), since, all)
	}
	return all[0]
}
