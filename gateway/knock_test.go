package gateway

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/access/accesstest"
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
	return `{"outcomes":[{"entry":{"id":"` + keyID + `","workspaceId":"acme"}` + strings.Repeat(" ", modest) + `,"status":200}]}`
}

// forbiddenBody is a body that must not be read.
type forbiddenBody struct{ t *testing.T }

// Read implements io.Reader.
func (b forbiddenBody) Read([]byte) (int, error) {
	b.t.Error("a body of somebody without a good token was read")
	return 0, io.ErrUnexpectedEOF
}

// TestLargeBodiesOfStrangersAreNotRead has a gateway that has seen no token yet, as one that has just started.
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

func TestWhoIsKnownIsNotAskedAbout(t *testing.T) {
	signer, err := access.NewSigner()
	must(t, err)
	asked := 0
	count := func(ctx context.Context, method string, request, answer any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		if report, ok := request.(*authv1.ReportRequest); ok && len(report.GetOutcomes()) == 0 {
			asked++
		}
		return invoke(ctx, method, request, answer, conn, options...)
	}
	handler, _ := newGatewayOf(t, Config{}, accesstest.Gate(t, signer), grpc.WithUnaryInterceptor(count))
	first, second := bearer(t, signer, access.Checker), bearer(t, signer, access.Admin)
	for i, tt := range []struct {
		authorization, body string
		status, asked       int // in all
	}{
		{first, largeReport(), 200, 1},
		{first, largeReport(), 200, 1},
		{second, `{"outcomes":[{}]}`, 403, 1},
		{second, largeReport(), 403, 2},
	} {
		answer := send(handler, "POST", "/v1/report", tt.body, "Authorization", tt.authorization)
		if answer.Code != tt.status || asked != tt.asked {
			t.Errorf("request %d: %d %s, asked %d times; want %d, %d times", i, answer.Code, answer.Body, asked, tt.status, tt.asked)
		}
	}
}
