package gateway

import (
	"regexp"
	"slices"
	"testing"
)

func TestChallengeIsThatOfRFC6750(t *testing.T) {
	const plain = `Bearer realm="keytrail"`
	for _, tt := range []struct{ authorization, reason, want string }{
		{"", "no token: send the header", plain},
		{"Basic dTpw", "must be `Bearer TOKEN`", plain},
		{"Bearer x", "the token has expired", plain + `, error="invalid_token", error_description="the token has expired"`},
		{"bearer x", `a "quoted" \ one`, plain + `, error="invalid_token", error_description="a 'quoted' ' one"`},
		{"Bearer x", "ä\r\nSet-Cookie: a\x7f", plain + `, error="invalid_token", error_description="???Set-Cookie: a?"`},
		{"Bearer", "more", plain + `, error="invalid_token", error_description="more"`},
	} {
		if got := challenge(tt.authorization, tt.reason); got != tt.want {
			t.Errorf("%q, %q: %s, want %s", tt.authorization, tt.reason, got, tt.want)
		}
	}
}

// wellFormed is the grammar of RFC 6750, section 3.
var wellFormed = regexp.MustCompile(`^Bearer realm="keytrail", error="invalid_token", error_description="[\x20-\x21\x23-\x5B\x5D-\x7E]+"$`)

func TestOnlyUnauthorizedAnswersChallenge(t *testing.T) {
	handler, _ := newGateway(t)
	for path, want := range map[string]int{
		"/v1/workspaces/initech/keys/" + keyID: 401, "/v1/workspaces/globex/keys/" + keyID: 404, "/v1/workspaces/acme/keys/" + keyID: 200,
		"/nowhere": 404,
	} {
		answer := send(handler, "GET", path, "")
		if got := answer.Header().Values("WWW-Authenticate"); answer.Code != want || (want == 401) != slices.Equal(got, []string{`Bearer realm="keytrail"`}) {
			t.Errorf("%s: %d %q", path, answer.Code, got)
		}
	}
	// The gateway under test has a token already, so that one of the request makes two.
	two := send(handler, "GET", "/v1/workspaces/acme/keys/"+keyID, "", "Authorization", "Bearer bad")
	if got := two.Header().Values("WWW-Authenticate"); two.Code != 401 || len(got) != 1 || !wellFormed.MatchString(got[0]) {
		t.Errorf("a wrong token: %d %q", two.Code, got)
	}
	denied := send(handler, "POST", "/v1/check", `{"agentType":"agent"}`)
	if got := denied.Header().Values("WWW-Authenticate"); denied.Code != 200 || got != nil {
		t.Errorf("a denied API key: %d %q", denied.Code, got)
	}
}
