package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"google.golang.org/protobuf/encoding/protojson"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/fault"
)

func TestBodyOfManyPartsIsNotDecoded(t *testing.T) {
	handler, services := newGateway(t)
	for name, tt := range map[string]struct {
		method, path, body string
		want               error
	}{
		"of a report":      {"POST", "/v1/report", `{"outcomes":[` + strings.Repeat(`{},`, maxObjects) + `{}]}`, errObjects},
		"of unknown names": {"POST", "/v1/report", `{"outcomes":[{"toCome":[` + strings.Repeat(`{},`, maxObjects) + `{}]}]}`, errObjects},
		"of strings":       {"POST", "/v1/workspaces/acme/keys", `{"agentIds":[` + strings.Repeat(`"",`, maxCommas) + `"",""]}`, errValues},
		"of an update":     {"PATCH", "/v1/workspaces/acme/keys/" + keyID, `{"agentIds":[` + strings.Repeat(`"",`, maxCommas) + `"",""]}`, errValues},
	} {
		expectError(t, send(handler, tt.method, tt.path, tt.body), 400, fault.RequestTooComplex, tt.want.Error())
		if got := services.took(); got != nil {
			t.Errorf("%s: the service took it", name)
		}
	}
	// The largest report that the contract takes, with everything written out, of tokens that look like JSON.
	report := &authv1.ReportRequest{}
	for range 1000 {
		report.Outcomes = append(report.Outcomes, &authv1.Outcome{ReportToken: strings.Repeat(`{\",`, 300), Status: 200, LatencyMs: new(float64(1))})
	}
	body, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(report)
	must(t, err)
	if answer := send(handler, "POST", "/v1/report", string(body)); answer.Code != 200 || services.took() == nil {
		t.Errorf("the largest report: %d %.300s", answer.Code, answer.Body)
	}
}

func TestBodyIsBounded(t *testing.T) {
	handler, services := newGateway(t)
	for name, tt := range map[string]struct{ method, path, start, end string }{
		"in a value":   {"POST", "/v1/check", `{"agentType":"agent","endpoint":"`, `"}`},
		"after it":     {"POST", "/v1/check", `{"agentType":"agent"}`, " "},
		"of an update": {"PATCH", "/v1/workspaces/acme/keys/" + keyID, `{"name":"`, `"}`},
	} {
		for _, length := range []int64{maxBody + 1, -1} { // of one that is not told
			filling := strings.Repeat(" ", maxBody+1-len(tt.start)-len(tt.end))
			request := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.start+filling+tt.end))
			request.ContentLength = length
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, request)
			expectError(t, answer, 413, fault.BodyTooLarge, fmt.Sprint(maxBody))
			if services.took() != nil {
				t.Errorf("%s: the service took it", name)
			}
		}
	}
	request := httptest.NewRequest("POST", "/v1/check", forbiddenBody{t})
	request.ContentLength = maxBody + 1
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	expectError(t, answer, 413, fault.BodyTooLarge, "")
	filling := strings.Repeat(" ", maxBody-len(`{"agentType":"agent"}`))
	if answer := send(handler, "POST", "/v1/check", `{"agentType":"agent"}`+filling); answer.Code != 200 {
		t.Errorf("a body of %d bytes: %d %s", maxBody, answer.Code, answer.Body)
	}
}

// TestLateBodyIsNotMalformed has a connection whose read deadline passes within the body.
func TestLateBodyIsNotMalformed(t *testing.T) {
	handler, services := newGateway(t)
	late := io.MultiReader(strings.NewReader(`{"agentType":`), iotest.ErrReader(fmt.Errorf("read tcp 192.0.2.1: %w", os.ErrDeadlineExceeded)))
	request := httptest.NewRequest("POST", "/v1/check", late)
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	expectError(t, answer, http.StatusRequestTimeout, fault.RequestLate, "in time")
	if services.took() != nil || strings.Contains(answer.Body.String(), "192.0.2.1") {
		t.Errorf("answered %s", answer.Body)
	}
}

func TestObjectsAreCountedWhereverAReadEnds(t *testing.T) {
	const text = `{"a\"{":[{"b":"\\"},{}],"c":"{\\\"{"}`
	for name, reader := range map[string]io.Reader{"whole": strings.NewReader(text), "byte by byte": iotest.OneByteReader(strings.NewReader(text))} {
		b := &body{from: io.NopCloser(reader)}
		if got, err := io.ReadAll(b); err != nil || string(got) != text || b.objects != 3 {
			t.Errorf("%s: read %q, %v, %d objects; want 3", name, got, err, b.objects)
		}
	}
}
