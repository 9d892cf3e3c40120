package sqlite

import (
	"strings"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/block"
)

// matching returns what Filter.Match requires of a row.
func matching(f logsvc.Filter) (match conditions) {
	if f.StatusClass != 0 {
		match.add("status / 100 = ?", f.StatusClass)
	}
	if f.InProgress {
		match.add("status = 0")
	}
	if f.Method != "" {
		match.add("method = ?", f.Method)
	}
	if f.KeyID != uuid.Nil {
		match.add("key_id = ?", f.KeyID[:])
	}
	if f.ErrorCode != "" {
		match.add("error_code = ?", f.ErrorCode)
	}
	if f.AgentType != "" {
		match.add("agent_type = ?", f.AgentType)
	}
	if f.AgentID != "" {
		match.add("agent_id = ?", f.AgentID)
	}
	if f.Endpoint != "" {
		// lower() of SQLite changes ASCII letters only, as block.Fold does; LIKE would have wildcards to escape.
		match.add("instr(lower(endpoint), ?) > 0", block.Fold(f.Endpoint))
	}
	return match
}

// conditions are joined with AND.
type conditions struct {
	terms []string
	args  []any
}

func (c *conditions) add(term string, args ...any) {
	c.terms = append(c.terms, term)
	c.args = append(c.args, args...)
}

func (c conditions) sql() string { return strings.Join(c.terms, " AND ") }
