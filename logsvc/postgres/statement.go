package postgres

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

// statement is SQL with its arguments. Its text depends only on the kind of search, so that every connection plans it once.
type statement struct {
	sql  string
	args []any
}

// arg adds an argument and returns its placeholder.
func (st *statement) arg(value any) string {
	st.args = append(st.args, value)
	return fmt.Sprintf("$%d", len(st.args))
}

const (
	columns = `t.id, t.latency_us, t.key_ref, t.call_count, t.status, t.from_report, t.agent_type, t.agent_id, t.method,
		t.error_code, t.cause, t.endpoint`
	keyColumns = `k.key_id, coalesce(k.key_name, ''), coalesce(k.key_last4, ''), coalesce(k.external_id, '')`
)

// withKeys joins the rows of inner with their key snapshots, newest first.
func (st *statement) withKeys(workspace, inner string) *statement {
	st.sql = `SELECT ` + columns + `, ` + keyColumns + `
		FROM (` + inner + `) t
		LEFT JOIN request_log_keys k ON k.workspace_id = ` + workspace + ` AND k.key_ref = t.key_ref
		ORDER BY t.id DESC`
	return st
}

// walk selects the newest matches of a segment along the primary key.
func (s *search) walk(seg segment, limit int) *statement {
	st := &statement{}
	workspace, most := st.arg(s.query.WorkspaceID), st.arg(limit)
	return st.withKeys(workspace, s.from(st, seg, workspace)+s.matching(st)+newest(most))
}

// direct selects the newest matches of a segment by the index of the filter: the index of denied calls for error codes,
// those of keys and status classes, and the primary key for all calls.
func (s *search) direct(seg segment, limit int) *statement {
	st := &statement{}
	workspace, most := st.arg(s.query.WorkspaceID), st.arg(limit)
	from := s.from(st, seg, workspace)
	switch {
	case s.query.Filter.ErrorCode != "":
		// The literal lets the planner see that the partial index has all of them.
		return st.withKeys(workspace, from+" AND t.error_code <> ''"+s.matching(st)+newest(most))
	case s.refs != nil:
		return s.perKey(st, seg, workspace, from, most)
	}
	return st.withKeys(workspace, from+s.ofClass(st)+newest(most))
}

func (s *search) from(st *statement, seg segment, workspace string) string {
	return "SELECT " + columns + " FROM " + seg.table() + " t WHERE t.workspace_id = " + workspace + s.within(st, seg)
}

// perKey queries each snapshot of the key by itself and merges the results.
func (s *search) perKey(st *statement, seg segment, workspace, from, most string) *statement {
	from += " AND t.key_ref = r.ref" + s.ofClass(st)
	if s.query.Filter.StatusClass >= 4 {
		from += newest(most)
	} else {
		from += " AND t.hour <= " + st.arg(lastHour(seg)) + " ORDER BY t.hour DESC, t.id DESC LIMIT " + most
	}
	return st.withKeys(workspace, `SELECT t.* FROM unnest(`+st.arg(s.refs)+`::bigint[]) r(ref)
		CROSS JOIN LATERAL (`+from+`) t`+newest(most))
}

// byTrigrams selects the newest matches of an indexed segment by its trigram index. MATERIALIZED keeps the planner
// from walking another index instead.
func (s *search) byTrigrams(seg segment, limit int) *statement {
	st := &statement{}
	workspace, most := st.arg(s.query.WorkspaceID), st.arg(limit)
	st.withKeys(workspace, "SELECT "+columns+" FROM candidates t WHERE t.workspace_id = "+workspace+
		s.within(st, seg)+s.matching(st)+newest(most))
	// The bound belongs to the condition of the index itself, so it has to be a literal.
	st.sql = `WITH candidates AS MATERIALIZED (
			SELECT t.workspace_id, ` + columns + ` FROM ` + seg.table() + ` t
			WHERE t.endpoint ILIKE ` + st.arg(like(selectivePart(s.query.Filter.Endpoint))) + `
			AND t.id < '` + bound(seg.indexedTo).String() + `'
		) ` + st.sql
	return st
}

func newest(most string) string { return " ORDER BY t.id DESC LIMIT " + most }

func (s *search) within(st *statement, seg segment) string {
	return " AND t.id >= " + st.arg(pgUUID(seg.ids.From)) + " AND t.id < " + st.arg(pgUUID(seg.ids.To))
}

// matching is the whole filter.
func (s *search) matching(st *statement) (where string) {
	filter := s.query.Filter
	if filter.StatusClass != 0 {
		where += " AND t.status / 100 = " + st.arg(filter.StatusClass)
	}
	if s.refs != nil {
		where += " AND t.key_ref = ANY(" + st.arg(s.refs) + "::bigint[])"
	}
	if filter.ErrorCode != "" {
		where += " AND t.error_code = " + st.arg(filter.ErrorCode)
	}
	if filter.Endpoint != "" {
		where += " AND strpos(lower(t.endpoint), " + st.arg(lowerASCII(filter.Endpoint)) + ") > 0"
	}
	return where
}

// ofClass selects the status class, in a form in which the planner recognises the partial index that covers it.
func (s *search) ofClass(st *statement) string {
	class := s.query.Filter.StatusClass
	if class == 0 {
		return ""
	}
	where := " AND t.status / 100 = " + st.arg(class)
	if class >= 4 {
		where += " AND t.status >= 400"
	}
	return where
}

// lastHour returns the hour of the newest ids of a segment.
func lastHour(seg segment) int16 {
	if to := uuid7.Time(seg.ids.To); to.Before(seg.end()) {
		return int16(to.Hour())
	}
	return 23
}

// scanEntry scans the rows of withKeys.
func scanEntry(workspaceID string) pgx.RowToFunc[logsvc.Entry] {
	return func(row pgx.CollectableRow) (logsvc.Entry, error) {
		e := logsvc.Entry{WorkspaceID: workspaceID}
		var id, keyID pgtype.UUID
		var micros pgtype.Int8
		var ref int64
		err := row.Scan(&id, &micros, &ref, &e.CallCount, &e.Status, &e.FromReport, &e.AgentType, &e.AgentID, &e.Method,
			&e.ErrorCode, &e.Cause, &e.Endpoint, &keyID, &e.KeyName, &e.KeyLast4, &e.ExternalID)
		e.ID, e.KeyID = uuid.UUID(id.Bytes), uuid.UUID(keyID.Bytes)
		e.Latency, e.Reported = time.Duration(micros.Int64)*time.Microsecond, micros.Valid
		return e, err
	}
}

// like returns the LIKE pattern of a literal substring.
func like(text string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text) + "%"
}

// indexable text has three ASCII letters or digits in a row, which make a trigram. Without one the whole index would be
// read.
var indexable = regexp.MustCompile(`[A-Za-z0-9]{3}`)

// selectiveLength is how long a part of a text is looked up in the trigram index. Each further trigram costs a list of
// rows to read, and a few exclude most rows.
const selectiveLength = 6

// selectivePart returns the part of a text that the fewest endpoints are likely to contain: the one with the most digits,
// which ids are made of, then letters; the last of equals.
func selectivePart(text string) string {
	best, at := -1, 0
	for i := 0; i+selectiveLength <= len(text); i++ {
		worth := 0
		for _, c := range []byte(text[i : i+selectiveLength]) {
			switch {
			case '0' <= c && c <= '9':
				worth += 3
			case 'a' <= c|0x20 && c|0x20 <= 'z':
				worth++
			}
		}
		if worth >= best {
			best, at = worth, i
		}
	}
	if best < 0 || !utf8.ValidString(text[at:at+selectiveLength]) {
		return text
	}
	return text[at : at+selectiveLength]
}

func lowerASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}
