package authsvc

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of what a row keeps of a caller's texts: a path and a method in bytes, an agent id in characters.
const (
	maxEndpoint = 2048
	maxMethod   = 32
	maxAgentID  = 255
)

// CleanEndpoint returns what a row keeps of a request path. It cuts off the query string, because that can contain secrets,
// redacts secrets of API keys elsewhere, percent-encodes control and format characters, and cuts the result at 2,048
// bytes, or up to 11 bytes earlier so as not to split a character or its encoding. The path must be UTF-8.
func CleanEndpoint(path string) string {
	kept, _, cut := strings.Cut(path, "?")
	kept = sanitize(kept, maxEndpoint, func(text string) int { return len(text) })
	if cut {
		// A substring would keep the query in memory.
		return strings.Clone(kept)
	}
	return kept
}

func sanitizeMethod(method string) string {
	return sanitize(method, maxMethod, func(text string) int { return len(text) })
}

func sanitizeAgentID(id string) string { return sanitize(id, maxAgentID, utf8.RuneCountInString) }

// sanitize redacts secrets, percent-encodes unprintable characters and cuts the text at limit, as measured by size.
func sanitize(text string, limit int, size func(string) int) string {
	// This bounds the work. A redacted secret has a seventh of its bytes and a character at most four, so the loop below
	// would cut what is cut here.
	text = redactSecrets(text[:min(len(text), 7*4*limit+secretLength)])
	if size(text) <= limit && !strings.ContainsFunc(text, unprintable) {
		return text
	}
	var kept strings.Builder
	for used := 0; len(text) > 0; {
		r, width := utf8.DecodeRuneInString(text)
		char := text[:width]
		if unprintable(r) {
			char = url.PathEscape(char)
		}
		if used += size(char); used > limit {
			break
		}
		kept.WriteString(char)
		text = text[width:]
	}
	return kept.String()
}

// unprintable reports whether a character is a control character or only changes how others are displayed, for example
// their direction.
func unprintable(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }
