package gateway

import "strings"

// challenge is what RFC 6750 asks for: whoever sent no bearer token is told what is wanted, and no error.
func challenge(authorization, reason string) string {
	const realm = `Bearer realm="keytrail"`
	if scheme, _, _ := strings.Cut(authorization, " "); !strings.EqualFold(scheme, "Bearer") {
		return realm
	}
	return realm + `, error="invalid_token", error_description="` + strings.Map(descriptive, reason) + `"`
}

// descriptive keeps the characters that an error_description may have: printable ASCII without the two that would
// need an escape, which become an apostrophe. Others become a question mark.
func descriptive(r rune) rune {
	switch {
	case r == '"' || r == '\\' || r == '`':
		return '\''
	case r < ' ' || r > '~':
		return '?'
	}
	return r
}
