package gateway

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/testing/protocmp"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/fault"
)

func tailPath(workspaceID string) string {
	return "/v1/workspaces/" + workspaceID + "/request-logs:tail"
}

// follow opens a stream. The header is in pairs of name and value.
func follow(t *testing.T, server *httptest.Server, path string, header ...string) (*http.Response, *bufio.Reader) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+path, nil)
	must(t, err)
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := server.Client().Do(request)
	must(t, err)
	t.Cleanup(func() { response.Body.Close() })
	return response, bufio.NewReader(response.Body)
}

// line returns the next line without its end.
func line(t *testing.T, from *bufio.Reader) string {
	t.Helper()
	text, err := from.ReadString('\n')
	must(t, err)
	return strings.TrimSuffix(text, "\n")
}

// expectMessage expects the message that the service sends to a workspace.
func expectMessage(t *testing.T, text string) {
	t.Helper()
	got := &logsv1.TailRequestLogsResponse{}
	must(t, protojson.Unmarshal([]byte(text), got))
	if diff := cmp.Diff(tailed, got, protocmp.Transform()); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

// expectFailure expects the error of a stream whose service stops.
func expectFailure(t *testing.T, text string) {
	t.Helper()
	inner, ok := strings.CutPrefix(text, `{"error":`)
	got := &spb.Status{}
	if err := protojson.Unmarshal([]byte(strings.TrimSuffix(inner, "}")), got); !ok || err != nil {
		t.Errorf("the error is %q: %v", text, err)
	}
	if st := status.FromProto(got); st.Code() != codes.Unavailable || reasonOf(st) != fault.ServerStopping.String() {
		t.Errorf("the error is %v", got)
	}
}

func TestTailIsLinesOfJSON(t *testing.T) {
	overHTTP(t, func(t *testing.T, server *httptest.Server, services *services) {
		response, lines := follow(t, server, tailPath("acme")+"?method=POST&resume_token=abc")
		if got := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || got != "application/x-ndjson" {
			t.Errorf("the response is %d, %q", response.StatusCode, got)
		}
		expectMessage(t, line(t, lines)) // although the stream goes on
		want := &logsv1.TailRequestLogsRequest{WorkspaceId: "acme", Method: "POST", ResumeToken: "abc"}
		if diff := cmp.Diff(want, services.received(), protocmp.Transform()); diff != "" {
			t.Errorf("request (-want +got):\n%s", diff)
		}
		_, lines = follow(t, server, tailPath("hooli"))
		expectMessage(t, line(t, lines))
		expectFailure(t, line(t, lines))
		if rest, err := io.ReadAll(lines); len(rest) > 0 || err != nil {
			t.Errorf("after the error: %q, %v", rest, err)
		}
	})
}

func TestTailIsServerSentEvents(t *testing.T) {
	overHTTP(t, func(t *testing.T, server *httptest.Server, services *services) {
		response, lines := follow(t, server, tailPath("hooli")+"?resume_token=abc",
			"Accept", "text/event-stream", "Last-Event-ID", "def")
		if got := response.Header.Get("Content-Type"); got != "text/event-stream" {
			t.Errorf("the response is %q", got)
		}
		if id := line(t, lines); id != "id: "+tailed.GetResumeToken() {
			t.Errorf("the id is %q", id)
		}
		expectMessage(t, strings.TrimPrefix(line(t, lines), "data: "))
		if end, event := line(t, lines), line(t, lines); end != "" || event != "event: error" {
			t.Errorf("the first event ends with %q, then %q", end, event)
		}
		expectFailure(t, strings.TrimPrefix(line(t, lines), "data: "))
		if end := line(t, lines); end != "" {
			t.Errorf("the error ends with %q", end)
		}
		if got := services.received().(*logsv1.TailRequestLogsRequest).GetResumeToken(); got != "def" {
			t.Errorf("it resumes from %q, want the id of the last event", got)
		}
	})
}

func TestTailThatCannotBeginHasItsStatus(t *testing.T) {
	handler, _ := newGateway(t)
	for name, tt := range map[string]struct {
		path   string
		status int
		reason fault.Reason
		text   string
	}{
		"too many": {tailPath("initech"), http.StatusTooManyRequests, fault.TooManyTails, "too many"},
		"an unknown filter": {
			tailPath("acme") + "?methods=GET", http.StatusBadRequest, fault.RequestMalformed, "methods: unknown query parameter",
		},
		"a rule": {tailPath("acme") + "?status_class=3xx", http.StatusBadRequest, fault.FieldInvalid, "status_class"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, accept := range []string{"*/*", "text/event-stream"} {
				expectError(t, send(handler, "GET", tt.path, "", "Accept", accept), tt.status, tt.reason, tt.text)
			}
		})
	}
}

// TestLastEventIDMayHaveAnyBytes: gRPC refuses to send such a string.
func TestLastEventIDMayHaveAnyBytes(t *testing.T) {
	handler, services := newGateway(t)
	send(handler, "GET", tailPath("globex"), "", "Accept", "text/event-stream", "Last-Event-ID", "\xff")
	if got := services.received().(*logsv1.TailRequestLogsRequest).GetResumeToken(); got != "\uFFFD" {
		t.Errorf("it resumes from %q", got)
	}
}
