package gateway

import (
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/keytrail/keytrail/internal/fault"
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
		answer := httptest.NewRecorder()
		writeFault(answer, httptest.NewRequest("GET", "/", nil), fault.New(reason, "so it is"))
		if want := statuses[reason.String()]; want != "–" && !strings.HasPrefix(answer.Result().Status, want+" ") {
			t.Errorf("%v is answered %q, the document says %q", reason, answer.Result().Status, want)
		}
		expectError(t, answer, answer.Code, reason, "")
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
