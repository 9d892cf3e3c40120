package gateway

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/httpserver"
)

const exportOf = "/v1/workspaces/%s/request-logs:export"

func exportPath(workspaceID string) string { return strings.Replace(exportOf, "%s", workspaceID, 1) }

// overHTTP calls do with a server of the gateway and its client, over HTTP/1.1 and over HTTP/2.
func overHTTP(t *testing.T, do func(*testing.T, *httptest.Server, *services)) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			handler, services := newGateway(t)
			server := httptest.NewUnstartedServer(handler)
			server.EnableHTTP2 = protocol == "HTTP/2.0"
			server.StartTLS()
			t.Cleanup(server.Close)
			do(t, server, services)
		})
	}
}

// download returns a response and its body, as far as it came.
func download(t *testing.T, server *httptest.Server, path string) (*http.Response, string, error) {
	t.Helper()
	response, err := server.Client().Get(server.URL + path)
	must(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response, string(text), err
}

func TestExportIsAFile(t *testing.T) {
	overHTTP(t, func(t *testing.T, server *httptest.Server, _ *services) {
		for query, want := range map[string]struct{ media, extension, lastLine string }{
			"":               {"application/x-ndjson", "ndjson", `{"row_count":5,"complete":true}`},
			"?format=ndjson": {"application/x-ndjson", "ndjson", `{"row_count":5,"complete":true}`},
			"?format=csv":    {"text/csv; charset=utf-8", "csv", "# rows=5"},
		} {
			response, text, err := download(t, server, exportPath("globex")+query)
			must(t, err)
			lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
			if response.StatusCode != 200 || lines[len(lines)-1] != want.lastLine || strings.Count(text, "row-") != exportedRows {
				t.Errorf("%s: %d\n%s", query, response.StatusCode, text)
			}
			name := regexp.MustCompile(`^attachment; filename="request-logs-globex-\d{8}T\d{6}Z\.` + want.extension + `"$`)
			header := response.Header
			if got := header.Get("Content-Disposition"); !name.MatchString(got) || header.Get("Content-Type") != want.media {
				t.Errorf("%s: %s, %s", query, header.Get("Content-Type"), got)
			}
			for name, value := range securityHeaders {
				if header.Get(name) != value {
					t.Errorf("%s: %s is %q", query, name, header.Get(name))
				}
			}
		}
	})
}

func TestExportThatFailsIsBrokenOff(t *testing.T) {
	overHTTP(t, func(t *testing.T, server *httptest.Server, _ *services) {
		for query, token := range map[string]string{"": `"resume_token":"token-2"}`, "?format=csv": "# resume_token=token-2"} {
			_, text, err := download(t, server, exportPath("hooli")+query)
			if err == nil {
				t.Errorf("%s: the download looks complete", query)
			}
			if !strings.HasSuffix(text, token+"\n") || !strings.Contains(text, fault.StoreUnavailable.String()) ||
				strings.Count(text, "row-") != 3 || strings.Contains(text, `"complete"`) || strings.Contains(text, "# rows") {
				t.Errorf("%s: the download is\n%s", query, text)
			}
		}
	})
}

func TestExportThatCannotBeginHasItsStatus(t *testing.T) {
	handler, services := newGateway(t)
	for path, want := range map[string]struct {
		status int
		reason fault.Reason
		says   string
	}{
		exportPath("initech"):                       {503, fault.StoreUnavailable, "no store"},
		exportPath("Initech"):                       {400, fault.FieldInvalid, "workspace_id: "},
		exportPath("acme") + "?format=xml":          {400, fault.FieldInvalid, "format: "},
		exportPath("acme") + "?statusclass=4xx":     {400, fault.RequestMalformed, "statusclass: unknown query parameter"},
		exportPath("acme") + "?workspace_id=globex": {400, fault.RequestMalformed, "workspace_id: not a query parameter"},
		exportPath("acme") + "?start_time=x":        {400, fault.RequestMalformed, ""},
		exportPath("acme") + "?endpoint=%FF":        {400, fault.RequestMalformed, "endpoint: must be UTF-8"},
		exportPath("acme") + "?%zz":                 {400, fault.RequestMalformed, ""},
		exportPath("%FF"):                           {400, fault.RequestMalformed, "workspace_id: must be UTF-8"},
	} {
		response := send(handler, "GET", path, "")
		expectError(t, response, want.status, want.reason, want.says)
		if got := response.Header().Get("Content-Disposition"); got != "" {
			t.Errorf("%s: the error is a file %s", path, got)
		}
		if got := services.received(); got != nil && want.reason != fault.StoreUnavailable {
			t.Errorf("%s: the service received %v", path, got)
		}
	}
	expectError(t, send(handler, "GET", exportPath("globex"), "", "Authorization", "Bearer x"), 401, fault.TokenInvalid, "")
	expectError(t, send(handler, "GET", exportPath("globex"), "", "Grpc-Timeout", "x"), 400, fault.RequestMalformed, "timeout")
	expectError(t, send(handler, "GET", exportPath("globex"), "x"), 400, fault.RequestMalformed, "no body")
	expectError(t, send(handler, "POST", exportPath("globex"), ""), 405, fault.MethodUnknown, "POST")
}

func TestExportRequestIsReadAsAListIs(t *testing.T) {
	handler, services := newGateway(t)
	send(handler, "GET", exportPath("globex")+"?statusClass=4xx&key_id="+keyID+"&endpoint=/%C3%A9%25_%5C%27&error_code=expired&"+
		"agent_type=agent&agentId=a&method=POST&start_time=2026-05-01T12:00:00Z&resume_token=t&format=csv", "")
	want := &logsv1.ExportRequestLogsRequest{
		WorkspaceId: "globex", StatusClass: "4xx", KeyId: keyID, Endpoint: `/é%_\'`, ErrorCode: "expired", AgentType: "agent",
		AgentId: "a", Method: "POST", StartTime: timestamppb.New(noon), ResumeToken: "t", Format: "csv",
	}
	if diff := cmp.Diff(proto.Message(want), services.received(), protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestExportWithoutItsReaderIsCancelled(t *testing.T) {
	overHTTP(t, func(t *testing.T, server *httptest.Server, services *services) {
		ctx, cancel := context.WithCancel(t.Context())
		request, err := http.NewRequestWithContext(ctx, "GET", server.URL+exportPath("acme"), nil)
		must(t, err)
		response, err := server.Client().Do(request)
		must(t, err)
		line, err := bufio.NewReader(response.Body).ReadString('\n') // it is sent at once
		if err != nil || !strings.Contains(line, "row-0") {
			t.Errorf("got %q, %v", line, err)
		}
		cancel()
		<-services.exportCancelled
	})
}

// TestExportEndsWithTheGateway stops the server of the gateway in the middle of an export.
func TestExportEndsWithTheGateway(t *testing.T) {
	handler, _ := newGateway(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	served := make(chan error, 1)
	go func() { served <- httpserver.Serve(ctx, listener, handler, slog.New(slog.DiscardHandler)) }()
	response, err := http.Get("http://" + listener.Addr().String() + exportPath("acme"))
	must(t, err)
	defer response.Body.Close()
	stop()
	text, err := io.ReadAll(response.Body)
	if err == nil || !strings.Contains(string(text), fault.ServerStopping.String()) ||
		!strings.HasSuffix(string(text), `"resume_token":"token-0"}`+"\n") {
		t.Errorf("got %s, %v", text, err)
	}
	must(t, <-served)
}
