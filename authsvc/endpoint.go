package authsvc

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxEndpoint is how many bytes of a path are kept.
const maxEndpoint = 2048

// CleanEndpoint makes of a request path what is kept of it: the query string is cut off, because it can hold
// secrets; control characters and bytes that are not UTF-8 are percent-encoded; what is longer than 2,048 bytes is
// cut there, or up to three bytes earlier so as not to split a character. It never fails.
func CleanEndpoint(path string) string {
	path, _, _ = strings.Cut(path, "?")
	if len(path) <= maxEndpoint && utf8.ValidString(path) && !strings.ContainsFunc(path, control) {
		return path
	}
	var clean strings.Builder
	for len(path) > 0 {
		r, size := utf8.DecodeRuneInString(path)
		char := path[:size]
		if control(r) || r == utf8.RuneError && size == 1 {
			char = fmt.Sprintf("%%%02X", path[0])
		}
		if clean.Len()+len(char) > maxEndpoint {
			break
		}
		clean.WriteString(char)
		path = path[size:]
	}
	return clean.String()
}

// control tells the characters that a table, a terminal or a database would stumble over.
func control(r rune) bool { return r < ' ' || r == 0x7f }
