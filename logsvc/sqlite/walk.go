package sqlite

import (
	"strings"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
)

// walk is the plan of one search: the rows of one index, newest first, and the conditions of a match. The SQL names the index,
// so that the planner cannot choose another one.
type walk struct {
	hint         string
	along, match conditions
}

func newWalk(workspaceID string, f logsvc.Filter) walk {
	var w walk
	w.along.add("workspace_id = ?", workspaceID)
	switch {
	case f.KeyID != uuid.Nil:
		w.hint = "INDEXED BY request_logs_by_key"
		w.along.add("key_id = ?", f.KeyID[:])
	case f.StatusClass >= 4:
		w.hint = "INDEXED BY request_logs_failed"
		w.along.add("status >= 400") // a literal, so that the planner recognises that the index covers it
	case f.ErrorCode != "":
		w.hint = "INDEXED BY request_logs_failed"
		w.along.add("error_code <> ''")
	}
	w.match = matching(f)
	return w
}

func matching(f logsvc.Filter) (match conditions) {
	if f.StatusClass != 0 {
		match.add("status / 100 = ?", f.StatusClass)
	}
	if f.ErrorCode != "" {
		match.add("error_code = ?", f.ErrorCode)
	}
	if f.Endpoint != "" {
		// lower() of SQLite changes ASCII letters only; LIKE would have wildcards to escape.
		match.add("instr(lower(endpoint), ?) > 0", strings.Map(lowerASCII, f.Endpoint))
	}
	return match
}

func lowerASCII(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

// ids selects the id of the count-th row of the walk, no row if there are fewer.
func (w walk) ids(within logsvc.Range, count int) (string, []any) {
	where := w.in(within)
	return "SELECT id" + w.from(where) + " LIMIT 1 OFFSET ?", append(where.args, count-1)
}

// matches selects the first rows of the walk that match.
func (w walk) matches(within logsvc.Range, limit int) (string, []any) {
	where := w.in(within)
	where.add(w.match.sql(), w.match.args...)
	return "SELECT " + columns + w.from(where) + " LIMIT ?", append(where.args, limit)
}

func (w walk) from(where conditions) string {
	return " FROM request_logs " + w.hint + " WHERE " + where.sql() + " ORDER BY id DESC"
}

func (w walk) in(within logsvc.Range) (where conditions) {
	where.add(w.along.sql(), w.along.args...)
	where.add("id >= ? AND id < ?", within.From[:], within.To[:])
	return where
}

// conditions are joined with AND; without any, every row matches.
type conditions struct {
	terms []string
	args  []any
}

func (c *conditions) add(term string, args ...any) {
	c.terms = append(c.terms, term)
	c.args = append(c.args, args...)
}

func (c conditions) sql() string {
	if len(c.terms) == 0 {
		return "TRUE"
	}
	return strings.Join(c.terms, " AND ")
}
