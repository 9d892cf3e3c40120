package sqlite

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestPlans reads the plans of statements that must not read every allowlist of a workspace.
func TestPlans(t *testing.T) {
	store, err := Open(t.Context(), filepath.Join(t.TempDir(), "keys.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	for statement, allowed := range map[string][]string{
		// It finds the ids and sizes by the first, and reads the keys of the page by the second.
		onePage:     {"USING PRIMARY KEY (workspace_id=? AND id<?)", "USING PRIMARY KEY (workspace_id=? AND id=?)"},
		selectUsage: {"USING COVERING INDEX keys_size (workspace_id=?)"},
	} {
		found := 0
		for _, step := range plan(t, store, statement) {
			if !strings.HasPrefix(step, "SEARCH keys ") && !strings.HasPrefix(step, "SCAN keys") {
				continue
			}
			if found == len(allowed) || !strings.HasSuffix(step, allowed[found]) {
				t.Errorf("%s\nhas the step: %s", statement, step)
				continue
			}
			found++
		}
		if found != len(allowed) {
			t.Errorf("%s\nhas %d steps of %q", statement, found, allowed)
		}
	}
}

// plan returns the steps of a statement.
func plan(t *testing.T, store *Store, statement string) (steps []string) {
	t.Helper()
	rows, err := store.db.Read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+statement, make([]any, strings.Count(statement, "?"))...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}
