package sqlite

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/keytrail/keytrail/authsvc"
)

// columns are the values of a key's row, in the order of the two statements that write one.
func columns(revision authsvc.Revision, key authsvc.Key) []any {
	agentIDs := key.AgentIDs
	if key.AllAgents {
		agentIDs = nil
	}
	return []any{
		revision, key.Name, list(key.Scopes), key.AllAgents, list(agentIDs), key.Disabled,
		millis(key.ExpireTime), millis(key.CreateTime), millis(key.UpdateTime),
		strings.ToLower(key.Name), key.Description, key.ExternalID, metadata(key.Metadata),
		key.WorkspaceID, key.ID[:],
	}
}

// metadata is the column of a key's metadata: a JSON object, empty for none.
func metadata(entries map[string]string) string {
	if len(entries) == 0 {
		return ""
	}
	text, _ := json.Marshal(entries) // strings always marshal
	return string(text)
}

// parseMetadata reads what metadata wrote; none is nil.
func parseMetadata(text string) (entries map[string]string, err error) {
	if text != "" {
		err = json.Unmarshal([]byte(text), &entries)
	}
	if err != nil {
		return nil, fmt.Errorf("read metadata: %w", err)
	}
	return entries, nil
}

// list is the column of a list of words: a JSON array, [] for none.
func list(words []string) string {
	if len(words) == 0 {
		return "[]"
	}
	// Strings always marshal.
	text, _ := json.Marshal(words)
	return string(text)
}

// words reads what list wrote; none are nil.
func words(list string) ([]string, error) {
	if list == "[]" {
		return nil, nil
	}
	var words []string
	if err := json.Unmarshal([]byte(list), &words); err != nil {
		return nil, fmt.Errorf("read list %q: %w", list, err)
	}
	return words, nil
}

// millis is the column of a time: NULL for the zero time.
func millis(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMilli(), Valid: !t.IsZero()}
}

// moment reads what millis wrote.
func moment(millis sql.NullInt64) time.Time {
	if !millis.Valid {
		return time.Time{}
	}
	return time.UnixMilli(millis.Int64).UTC()
}
