package gateway

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/grpcserver"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
)

// forbiddenBody is a body that must not be read.
type forbiddenBody struct{ t *testing.T }

// Read implements io.Reader.
func (b forbiddenBody) Read([]byte) (int, error) {
	b.t.Error("the body was read")
	return 0, io.ErrUnexpectedEOF
}

func TestBodyIsNotReadWithoutATokenOfTheRole(t *testing.T) {
	const report = `{"outcomes":[{"reportToken":"t","status":200,"latencyMs":0}]}`
	signer := accesstest.NewSigner(t)
	checker, viewer := accesstest.Bearer(t, signer, access.Checker, "acme"), accesstest.Bearer(t, signer, access.Viewer, "acme")
	other := accesstest.Bearer(t, accesstest.NewSigner(t), access.Checker, "acme")
	for name, tt := range map[string]struct {
		authorization string
		body          io.Reader
		want          int
	}{
		"no token":         {"", forbiddenBody{t}, 401},
		"no JWT":           {"Bearer x", forbiddenBody{t}, 401},
		"another signer":   {other, forbiddenBody{t}, 401},
		"a token":          {checker, strings.NewReader(report), 200},
		"of another role":  {viewer, forbiddenBody{t}, 403},
		"of any other use": {"Basic eDp5", forbiddenBody{t}, 401},
	} {
		handler, services := newGatewayOf(t, Config{}, signer)
		for _, length := range []int64{int64(len(report)), maxBodyBytes + 1, -1} {
			if tt.want == 200 && length != int64(len(report)) {
				continue
			}
			request := httptest.NewRequest(http.MethodPost, "/v1/report", tt.body)
			request.ContentLength = length
			request.Header.Set("Authorization", tt.authorization)
			if tt.authorization == "" {
				request.Header.Del("Authorization")
			}
			response := serve(handler, request)
			if got := services.received(); response.Code != tt.want || (got != nil) != (tt.want == 200) {
				t.Errorf("%s, length %d: %d %s, want %d; the service received %v", name, length, response.Code, response.Body, tt.want, got)
			}
		}
	}
}

// TestInvalidTokensDoNotBlockValidOnes sends many invalid tokens from the one address that a proxy has.
func TestInvalidTokensDoNotBlockValidOnes(t *testing.T) {
	signer := accesstest.NewSigner(t)
	handler, _ := newGatewayOf(t, Config{}, signer)
	const path = "/v1/workspaces/acme/keys/" + keyID
	for i := range 2000 {
		if response := send(handler, "GET", path, "", "Authorization", "Bearer bad"); response.Code != 401 {
			t.Fatalf("invalid token %d: %d %s", i, response.Code, response.Body)
		}
	}
	if response := send(handler, "GET", path, "", "Authorization", accesstest.Bearer(t, signer, access.Viewer, "acme")); response.Code != 200 {
		t.Errorf("a valid token from the same address: %d %s", response.Code, response.Body)
	}
}

func TestBodyIsBounded(t *testing.T) {
	handler, services := newGateway(t)
	for name, tt := range map[string]struct{ method, path, start, end string }{
		"in a value":   {"POST", "/v1/check", `{"agentType":"agent","endpoint":"`, `"}`},
		"after it":     {"POST", "/v1/check", `{"agentType":"agent"}`, " "},
		"of an update": {"PATCH", "/v1/workspaces/acme/keys/" + keyID, `{"name":"`, `"}`},
	} {
		for _, length := range []int64{maxBodyBytes + 1, -1} { // -1 = unknown
			filling := strings.Repeat(" ", maxBodyBytes+1-len(tt.start)-len(tt.end))
			request := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.start+filling+tt.end))
			request.ContentLength = length
			response := serve(handler, request)
			expectError(t, response, 413, fault.BodyTooLarge, fmt.Sprint(maxBodyBytes))
			if services.received() != nil {
				t.Errorf("%s: the service received it", name)
			}
		}
	}
	request := httptest.NewRequest("POST", "/v1/check", forbiddenBody{t})
	request.ContentLength = maxBodyBytes + 1
	response := serve(handler, request)
	expectError(t, response, 413, fault.BodyTooLarge, "")
	filling := strings.Repeat(" ", maxBodyBytes-len(`{"agentType":"agent"}`))
	if response := send(handler, "POST", "/v1/check", `{"agentType":"agent"}`+filling); response.Code != 200 {
		t.Errorf("a body of %d bytes: %d %s", maxBodyBytes, response.Code, response.Body)
	}
}

// TestRequestThatItsServiceWouldRefuseIsTooLarge sends a body that is small enough for the gateway only.
func TestRequestThatItsServiceWouldRefuseIsTooLarge(t *testing.T) {
	handler, services := newGateway(t)
	name := strings.Repeat("n", grpcserver.AuthMessageBytes)
	expectError(t, send(handler, "POST", "/v1/workspaces/acme/keys", `{"name":"`+name+`"}`), 413, fault.BodyTooLarge, fmt.Sprint(grpcserver.AuthMessageBytes))
	if services.received() != nil {
		t.Error("the service received it")
	}
}

// TestLargestReportOfTheContractIsAccepted writes every field of 1,000 outcomes.
func TestLargestReportOfTheContractIsAccepted(t *testing.T) {
	handler, services := newGateway(t)
	report := &authv1.ReportRequest{}
	for range 1000 {
		report.Outcomes = append(report.Outcomes, &authv1.Outcome{ReportToken: strings.Repeat("t", 1024), Status: 200, LatencyMs: new(float64(1))})
	}
	body, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(report)
	must(t, err)
	if response := send(handler, "POST", "/v1/report", string(body)); response.Code != 200 || services.received() == nil {
		t.Errorf("the largest report: %d %.300s", response.Code, response.Body)
	}
}

// TestLateBodyIsNotMalformed has a connection whose read deadline passes within the body.
func TestLateBodyIsNotMalformed(t *testing.T) {
	handler, services := newGateway(t)
	late := io.MultiReader(strings.NewReader(`{"agentType":`), iotest.ErrReader(fmt.Errorf("read tcp 192.0.2.1: %w", os.ErrDeadlineExceeded)))
	response := serve(handler, httptest.NewRequest("POST", "/v1/check", late))
	expectError(t, response, http.StatusRequestTimeout, fault.RequestLate, "in time")
	if services.received() != nil || strings.Contains(response.Body.String(), "192.0.2.1") {
		t.Errorf("got %s", response.Body)
	}
}

// TestRefusedTokensAreCounted: a request without a valid token counts as a call of its RPC.
func TestRefusedTokensAreCounted(t *testing.T) {
	var counted []string
	observe := func(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		response, err := next(ctx, request)
		counted = append(counted, info.FullMethod+" "+status.Code(err).String())
		return response, err
	}
	signer := accesstest.NewSigner(t)
	handler, _ := newGatewayOf(t, Config{Observe: observe}, signer)
	send(handler, "POST", "/v1/check", `{}`)
	send(handler, "DELETE", "/v1/workspaces/acme/keys/"+keyID, "", "Authorization", "Bearer x")
	send(handler, "POST", "/v1/check", `{}`, "Authorization", accesstest.Bearer(t, signer, access.Checker, "acme")) // the service counts it
	want := []string{authv1.CheckService_Check_FullMethodName + " Unauthenticated", authv1.KeyService_DeleteKey_FullMethodName + " Unauthenticated"}
	if !slices.Equal(counted, want) {
		t.Errorf("counted %q, want %q", counted, want)
	}
}

// TestUnreachableIssuerIsNotCounted: anyone can send a token with an unknown key, and an alert fires on UNAVAILABLE.
func TestUnreachableIssuerIsNotCounted(t *testing.T) {
	const issuer = "https://login.example.com"
	verifier, err := access.NewVerifier(access.Config{Issuers: []string{issuer}, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	observe := func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
		t.Error("the refusal was counted")
		return nil, nil
	}
	handler, err := New(t.Context(), Config{Verifier: verifier, Observe: observe, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	encode := base64.RawURLEncoding.EncodeToString
	claims := fmt.Sprintf(`{"iss":%q,"aud":"keytrail","exp":%d,"role":"viewer","workspaces":["acme"]}`, issuer, time.Now().Add(time.Hour).Unix())
	token := encode([]byte(`{"alg":"EdDSA","kid":"k"}`)) + "." + encode([]byte(claims)) + "." + encode(make([]byte, 64))
	response := send(handler, "GET", "/v1/workspaces/acme/keys", "", "Authorization", "Bearer "+token)
	expectError(t, response, 503, fault.IssuerUnreachable, "")
}
