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
// each other.

var errorCodes = map[string]bool{
	"": true, "missing_token": true, "invalid_token": true, "disabled": true, "expired": true, "scope_denied": true, "agent_denied": true,
}

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
		{text(row.GetKeyName()) && utf8.RuneCountInString(row.GetKeyName()) <= 100, "key_name", "must be at most 100 characters of UTF-8 without NUL"},
		{text(row.GetKeyLast4()) && utf8.RuneCountInString(row.GetKeyLast4()) <= 4, "key_last4", "must be at most 4 characters of UTF-8 without NUL"},
		{len(row.GetAgentType()) <= 63 && allOf(row.GetAgentType(), "_"), "agent_type", "must be at most 63 of a-z, 0-9 and _"},
		{text(row.GetAgentId()) && utf8.RuneCountInString(row.GetAgentId()) <= 255, "agent_id", "must be at most 255 characters of UTF-8 without NUL"},
		{text(row.GetMethod()) && len(row.GetMethod()) <= 32, "method", "must be at most 32 bytes of UTF-8 without NUL"},
		{text(row.GetEndpoint()) && len(row.GetEndpoint()) <= 2048, "endpoint", "must be at most 2,048 bytes of UTF-8 without NUL"},
		{status == 0 || status >= 100 && status <= 599, "status", "must be 0 (in progress) or 100 to 599"},
		{errorCodes[row.GetErrorCode()], "error_code", "must be empty or one of the six codes"},
		{latency >= 0 && latency <= maxLatencyMs && !math.IsNaN(latency), "latency_ms", "must be 0 to 86,400,000"},
		{row.GetRepeated() >= 0, "repeated", "must be 0 or more"},
		{len(row.GetSignature()) <= 64, "signature", "must be at most 64 bytes"},
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

// text tells whether a database takes it.
func text(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }
