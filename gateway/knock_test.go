package gateway

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
)

// bearer makes the Authorization of a token for the workspace acme.
func bearer(t *testing.T, signer *access.Signer, role access.Role) string {
	t.Helper()
	token, err := signer.Token(access.Grant{Role: role, Workspaces: []string{"acme"}, From: time.Now(), TTL: time.Hour})
	must(t, err)
	return "Bearer " + token
}

// largeReport is a good one that is mostly space.
func largeReport() string {
	return `{"outcomes":[{"reportToken":"t"` + strings.Repeat(" ", modest) + `,"status":200,"latencyMs":0}]}`
}

// forbiddenBody is a body that must not be read.
type forbiddenBody struct{ t *testing.T }

// Read implements io.Reader.
func (b forbiddenBody) Read([]byte) (int, error) {
	b.t.Error("the body was read")
	return 0, io.ErrUnexpectedEOF
}

func TestLargeBodiesOfStrangersAreNotRead(t *testing.T) {
	signer, err := access.NewSigner()
	must(t, err)
	checker, viewer, stranger := bearer(t, signer, access.Checker), bearer(t, signer, access.Viewer), "Bearer stranger"
	for name, tt := range map[string]struct {
		authorization string
		length        int64 // as it is told
		body          io.Reader
		want          int
	}{
		"no token":                       {"", modest + 1, forbiddenBody{t}, 401},
		"a token of nobody":              {stranger, modest + 1, forbiddenBody{t}, 401},
		"of a length that is not told":   {stranger, -1, forbiddenBody{t}, 401},
		"a good token":                   {checker, modest + 1, strings.NewReader(largeReport()), 200},
		"a good token, no length":        {checker, -1, strings.NewReader(largeReport()), 200},
		"a good token of another role":   {viewer, modest + 1, strings.NewReader(largeReport()), 403},
		"a small body, whoever it is of": {stranger, modest, strings.NewReader(largeReport()), 401},
	} {
		handler, services := newGatewayOf(t, Config{}, accesstest.Gate(t, signer))
		request := httptest.NewRequest(http.MethodPost, "/v1/report", tt.body)
		request.ContentLength = tt.length
		request.Header.Set("Authorization", tt.authorization)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		if got := services.took(); answer.Code != tt.want || (got != nil) != (tt.want == 200) {
			t.Errorf("%s: %d %s, want %d; the service took %v", name, answer.Code, answer.Body, tt.want, got)
		}
	}
}
