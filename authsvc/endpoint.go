package authsvc

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// How much is kept of what a caller sent: a path and a method in bytes, an agent id in characters.
const (
	maxEndpoint = 2048
	maxMethod   = 32
	maxAgentID  = 255
)

// CleanEndpoint makes of a request path what is kept of it: the query string is cut off, because it can hold secrets;
// secrets of API keys that stand elsewhere are hidden; control and format characters are percent-encoded; what is longer
// than 2,048 bytes is cut there, or up to 11 bytes earlier so as not to split a character or its encoding. The path is
// UTF-8, as every string of the contract.
func CleanEndpoint(path string) string {
	kept, _, cut := strings.Cut(path, "?")
	kept = clean(kept, maxEndpoint, func(text string) int { return len(text) })
	if cut {
		// A substring would keep the whole path in memory, with its query.
		return strings.Clone(kept)
	}
	return kept
}

// cleanMethod makes of an HTTP method what is kept of it, as CleanEndpoint does.
func cleanMethod(method string) string {
	return clean(method, maxMethod, func(text string) int { return len(text) })
}

// cleanAgentID makes of an agent id what is kept of it, as CleanEndpoint does.
func cleanAgentID(id string) string { return clean(id, maxAgentID, utf8.RuneCountInString) }

// clean hides secrets and percent-encodes what a table, a terminal or a database would stumble over, up to limit as size
// counts.
func clean(text string, limit int, size func(string) int) string {
	// A hidden secret has a seventh of its bytes, a character has four at the most: what is cut here would be cut below.
	text = hideSecrets(text[:min(len(text), 7*4*limit+secretLength)])
	if size(text) <= limit && !strings.ContainsFunc(text, unprintable) {
		return text
	}
	var kept strings.Builder
	for used := 0; len(text) > 0; {
		r, width := utf8.DecodeRuneInString(text)
		char := text[:width]
		if unprintable(r) {
			char = percent(char)
		}
		if used += size(char); used > limit {
			break
		}
		kept.WriteString(char)
		text = text[width:]
	}
	return kept.String()
}

// percent encodes every byte.
func percent(char string) string {
	var encoded strings.Builder
	for _, b := range []byte(char) {
		fmt.Fprintf(&encoded, "%%%02X", b)
	}
	return encoded.String()
}

// unprintable tells control characters and those that only change how others look, e.g. their direction: what is
// shown must be what was sent.
func unprintable(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }
