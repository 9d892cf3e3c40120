package gateway

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
)

// documented are the HTTP statuses of docs/errors.md by reason, the gateway's own first.
func documented(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../docs/errors.md")
	must(t, err)
	statuses := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| [A-Z_]+ \\| ([0-9]{3}|–)").FindAllStringSubmatch(string(text), -1) {
		statuses[row[1]] = row[2]
	}
	return statuses
}

func TestFaultsHaveTheStatusOfTheDocument(t *testing.T) {
	statuses := documented(t)
	for _, reason := range fault.Reasons() {
		response := httptest.NewRecorder()
		writeFault(response, httptest.NewRequest("GET", "/", nil), fault.New(reason, "a message"))
		if want := statuses[reason.String()]; want != "–" && !strings.HasPrefix(response.Result().Status, want+" ") {
			t.Errorf("%v has the status %q, the document says %q", reason, response.Result().Status, want)
		}
		expectError(t, response, response.Code, reason, "")
	}
	if len(statuses) != len(fault.Reasons()) {
		t.Errorf("the document has %d reasons, want %d", len(statuses), len(fault.Reasons()))
	}
}

func TestRetryAfterIsRoundedUp(t *testing.T) {
	for wait, want := range map[time.Duration]string{time.Second: "1", time.Millisecond: "1", 1001 * time.Millisecond: "2"} {
		if got := seconds(wait); got != want {
			t.Errorf("%v is %s s, want %s", wait, got, want)
		}
	}
}

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

func TestOnly401HasAChallenge(t *testing.T) {
	handler, _ := newGateway(t)
	for path, want := range map[string]int{
		"/v1/workspaces/initech/keys/" + keyID: 401, "/v1/workspaces/globex/keys/" + keyID: 404, "/v1/workspaces/acme/keys/" + keyID: 200,
		"/nowhere": 404,
	} {
		response := send(handler, "GET", path, "")
		if got := response.Header().Values("WWW-Authenticate"); response.Code != want || (want == 401) != (len(got) == 1) {
			t.Errorf("%s: %d %q", path, response.Code, got)
		}
	}
	bare, _ := newGatewayOf(t, Config{}, accesstest.NewSigner(t))
	none := send(bare, "GET", "/v1/workspaces/acme/keys/"+keyID, "")
	if got := none.Header().Values("WWW-Authenticate"); none.Code != 401 || !slices.Equal(got, []string{`Bearer realm="keytrail"`}) {
		t.Errorf("no token: %d %q", none.Code, got)
	}
	bad := send(handler, "GET", "/v1/workspaces/acme/keys/"+keyID, "", "Authorization", "Bearer bad")
	if got := bad.Header().Values("WWW-Authenticate"); bad.Code != 401 || len(got) != 1 || !wellFormed.MatchString(got[0]) {
		t.Errorf("a wrong token: %d %q", bad.Code, got)
	}
	denied := send(handler, "POST", "/v1/check", `{"agentType":"agent"}`)
	if got := denied.Header().Values("WWW-Authenticate"); denied.Code != 200 || got != nil {
		t.Errorf("a denied API key: %d %q", denied.Code, got)
	}
}

func TestPanicOfAHandlerIsAnInternalError(t *testing.T) {
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		broken  bool // the connection is broken off
		logged  int
	}{
		"before the response": {func(http.ResponseWriter, *http.Request) { panic("SELECT secret") }, false, 1},
		"within the response": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic("SELECT secret")
		}, true, 1},
		"to abort": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			response := httptest.NewRecorder()
			aborted := func() (aborted bool) {
				defer func() { aborted = recover() == http.ErrAbortHandler }()
				recoverPanics(tt.handler, slog.New(slog.NewJSONHandler(&log, nil))).ServeHTTP(response, httptest.NewRequest("GET", "/", nil))
				return false
			}()
			if aborted != tt.broken {
				t.Errorf("the connection is broken off: %v", aborted)
			}
			if !tt.broken {
				expectError(t, response, 500, fault.InternalError, "internal error")
			}
			if strings.Contains(response.Body.String(), "SELECT") || strings.Count(log.String(), "\n") != tt.logged || tt.logged > 0 && !strings.Contains(log.String(), `"stack"`) {
				t.Errorf("got %s and logged %s", response.Body, log.String())
			}
		})
	}
}
