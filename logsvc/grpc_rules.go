package logsvc

import (
	"math"
	"strings"
	"unicode/utf8"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/fault"
)

// The rules of RequestLog once more, by hand: each row of a batch of thousands is held against them, and
// protovalidate takes as long for one row as all else that is done with it here. A test holds the two against
// each other. NUL is refused besides: not every database stores it.

// breaksRule names the first field of a row that cannot be stored.
func breaksRule(row *logsv1.RequestLog) error {
	latency, status := row.GetLatencyMs(), row.GetStatus()
	for _, rule := range [...]struct {
		kept          bool
		field, reason string
	}{
		{len(row.GetId()) == 36, "id", "must be a valid UUID"},
		{validWorkspace(row.GetWorkspaceId()), "workspace_id", "must be _unattributed, or 1 to 63 of a-z, 0-9, _ and -, and begin with a letter or digit"},
		{len(row.GetKeyId()) == 0 || len(row.GetKeyId()) == 36, "key_id", "must be a valid UUID"},
		{text(row.GetKeyName()) && utf8.RuneCountInString(row.GetKeyName()) <= 100, "key_name", "must be at most 100 characters without NUL"},
		{text(row.GetKeyLast4()) && utf8.RuneCountInString(row.GetKeyLast4()) <= 4, "key_last4", "must be at most 4 characters without NUL"},
		{text(row.GetExternalId()) && len(row.GetExternalId()) <= 255, "external_id", "must be at most 255 bytes without NUL"},
		{word(row.GetAgentType()), "agent_type", wordRule},
		{text(row.GetAgentId()) && utf8.RuneCountInString(row.GetAgentId()) <= 255, "agent_id", "must be at most 255 characters without NUL"},
		{text(row.GetMethod()) && len(row.GetMethod()) <= 32, "method", "must be at most 32 bytes without NUL"},
		{text(row.GetEndpoint()) && len(row.GetEndpoint()) <= 2048, "endpoint", "must be at most 2,048 bytes without NUL"},
		{status == 0 || status >= 100 && status <= 599, "status", "must be 0 (in progress) or 100 to 599"},
		{word(row.GetErrorCode()), "error_code", wordRule},
		{word(row.GetCause()), "cause", wordRule},
		{latency >= 0 && latency <= maxLatencyMs && !math.IsNaN(latency), "latency_ms", "must be 0 to 86,400,000"},
		{row.GetCallCount() >= 0, "call_count", "must be 0 or more"},
	} {
		if !rule.kept {
			return fault.InvalidField(rule.field, "%s", rule.reason)
		}
	}
	return nil
}

// maxLatencyMs is 24 hours.
const maxLatencyMs = 86_400_000

func validWorkspace(id string) bool {
	if id == "_unattributed" {
		return true
	}
	return len(id) >= 1 && len(id) <= 63 && allOf(id[:1], "") && allOf(id, "_-")
}

// allOf tells whether text is made of a-z, 0-9 and more alone.
func allOf(text, more string) bool {
	for i := range len(text) {
		if c := text[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte(more, c) < 0 {
			return false
		}
	}
	return true
}

// wordRule is what word reports, for people.
const wordRule = "must be at most 63 of a-z, 0-9 and _"

// word reports whether text has the form of a value that later releases may know more of: ^[a-z0-9_]{0,63}$.
func word(text string) bool { return len(text) <= 63 && allOf(text, "_") }

// text reports whether every database stores it.
func text(s string) bool { return strings.IndexByte(s, 0) < 0 }
