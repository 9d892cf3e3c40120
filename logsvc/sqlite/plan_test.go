package sqlite

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
)

// TestEveryStatementFollowsAnIndex reads the plans: a statement that sorts, or reads other workspaces, has no bound.
func TestEveryStatementFollowsAnIndex(t *testing.T) {
	store, id := openNew(t), uuid.New()
	filtered, _ := selectRows(logsvc.ViewQuery{Filter: logsvc.Filter{
		StatusClass: 5, KeyID: id, Endpoint: "x", ErrorCode: "c", AgentType: "t", AgentID: "a", InProgress: true, Method: "m",
	}}, logsvc.Range{}, id)
	newest, _ := selectRows(logsvc.ViewQuery{}, logsvc.Range{}, id)
	const (
		rows      = "request_logs USING PRIMARY KEY (workspace_id=? AND "
		workspace = "request_log_blocks USING INDEX request_log_blocks_by_first_id (workspace_id=?"
		covering  = "request_log_blocks USING COVERING INDEX request_log_blocks_by_first_id (workspace_id"
		blocks    = workspace + " AND "
	)
	for statement, allowed := range map[string][]string{
		filtered:           {rows + "id>? AND id<?)"},
		newest:             {rows + "id>? AND id<?)"},
		selectNthRow:       {rows + "id>? AND id<?)"},
		selectAscending:    {rows + "id>? AND id<?)"},
		selectOldest:       {rows + "id>? AND id<?)"},
		countRows:          {rows + "id>? AND id<?)"},
		selectCounted:      {rows + "id>? AND id<?)"},
		selectRow:          {rows + "id=?)"},
		deleteRow:          {rows + "id=?)"},
		purgeRows:          {rows + "id<?)", rows + "id=?)", "LIST SUBQUERY "},
		expireRows:         {rows + "id<?)", rows + "id=?)", "LIST SUBQUERY "},
		selectNewestSealed: {workspace + ")"},
		selectBlocks:       {blocks + "first_id>? AND first_id<?)", covering + "=? AND first_id<?)", "SCALAR SUBQUERY "},
		selectPart:         {blocks + "first_id=?)"},
		selectOldestBlock:  {covering + "=? AND first_id>? AND first_id<?)"},
		deleteBlock:        {blocks + "first_id=?)"},
		expireBlocks:       {blocks + "first_id<?)", "request_log_blocks USING INTEGER PRIMARY KEY (rowid=?)", "LIST SUBQUERY "},
		selectNextWorkspace: {
			"request_logs USING PRIMARY KEY (workspace_id>?)",
			covering + ">?)",
			"CO-ROUTINE ", "COMPOUND QUERY", "LEFT-MOST SUBQUERY", "UNION ALL", "(subquery-",
		},
	} {
		for _, step := range plan(t, store, statement) {
			if !hasOne(step, allowed) {
				t.Errorf("%s\nhas the step: %s", statement, step)
			}
		}
	}
}

func hasOne(step string, allowed []string) bool {
	for _, a := range allowed {
		if strings.Contains(step, a) {
			return true
		}
	}
	return false
}

// plan returns the steps of a statement.
func plan(t *testing.T, store *Store, statement string) (steps []string) {
	t.Helper()
	parameters := strings.Count(statement, "?")
	rows, err := store.db.Write.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+statement, make([]any, parameters)...)
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var step string
		must(t, rows.Scan(&id, &parent, &unused, &step))
		steps = append(steps, step)
	}
	must(t, rows.Err())
	if len(steps) == 0 {
		t.Errorf("no plan of %s", statement)
	}
	return steps
}
