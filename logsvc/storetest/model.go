package storetest

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
)

// Match reports whether a filter selects an entry: what every search must find.
func Match(f logsvc.Filter, e logsvc.Entry) bool {
	return (f.StatusClass == 0 || e.Status/100 == f.StatusClass) &&
		(!f.InProgress || e.Status == 0) &&
		(f.KeyID == uuid.Nil || e.KeyID == f.KeyID) &&
		(f.Method == "" || e.Method == f.Method) &&
		(f.ErrorCode == "" || e.ErrorCode == f.ErrorCode) &&
		(f.AgentType == "" || e.AgentType == f.AgentType) &&
		(f.AgentID == "" || e.AgentID == f.AgentID) &&
		strings.Contains(lower(e.Endpoint), lower(f.Endpoint))
}

// lower changes ASCII letters only. In UTF-8 their bytes are part of no other character.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c - 'A' + 'a'
		}
	}
	return string(b)
}

// matches returns the entries that a filter selects, in the same order.
func matches(f logsvc.Filter, entries []logsvc.Entry) (selected []logsvc.Entry) {
	for _, e := range entries {
		if Match(f, e) {
			selected = append(selected, e)
		}
	}
	return selected
}

// row names an entry in a store.
type row struct {
	workspaceID string
	id          uuid.UUID
}

// model is the reference that stores are compared with.
type model map[row]logsvc.Entry

func (m model) record(entries ...logsvc.Entry) {
	for _, e := range entries {
		name := row{e.WorkspaceID, e.ID}
		if old, ok := m[name]; ok {
			e = logsvc.Merge(old, e)
		}
		m[name] = e
	}
}

// list returns the matches in the range, newest first.
func (m model) list(workspaceID string, filter logsvc.Filter, within logsvc.Range) []logsvc.Entry {
	var entries []logsvc.Entry
	for name, e := range m {
		if name.workspaceID == workspaceID && Match(filter, e) && within.Contains(e.ID) {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, newestFirst)
	return entries
}

// purge deletes the entries of a workspace up to an id.
func (m model) purge(workspaceID string, upTo uuid.UUID) {
	maps.DeleteFunc(m, func(name row, _ logsvc.Entry) bool {
		return name.workspaceID == workspaceID && bytes.Compare(name.id[:], upTo[:]) <= 0
	})
}

// expire deletes the entries with ids below before.
func (m model) expire(before uuid.UUID) {
	maps.DeleteFunc(m, func(name row, _ logsvc.Entry) bool { return bytes.Compare(name.id[:], before[:]) < 0 })
}

func newestFirst(a, b logsvc.Entry) int { return bytes.Compare(b.ID[:], a.ID[:]) }
