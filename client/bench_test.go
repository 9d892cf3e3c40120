package client_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/keytrail/keytrail/client"
	"github.com/keytrail/keytrail/client/keytrailtest"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

// BenchmarkMiddleware compares a handler behind the middleware with a bare Check. Both call the same auth service in turn, each
// over a connection of its own. It reports the medians, what the middleware takes above the check, and its allocations, with
// those of the report.
//
//	go test ./client -run '^$' -bench Middleware -benchtime 20000x
func BenchmarkMiddleware(b *testing.B) {
	keytrail := keytrailtest.Start(b)
	secret := keytrail.CreateKey("acme", nil)
	kt := keytrail.Client(client.WithWorkspace("acme"))
	noContent := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	handler := kt.HTTPMiddleware(http.HandlerFunc(noContent))
	conn, err := grpc.NewClient(keytrail.Addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(bearer(keytrail.Token)))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	checks := authv1.NewCheckServiceClient(conn)
	check := &authv1.CheckRequest{
		ApiKey: secret, AgentType: "agent", AgentId: "a1", Method: "POST", Endpoint: "/v1/agents/a1/run", WorkspaceId: "acme",
	}
	request := httptest.NewRequest(http.MethodPost, "/v1/agents/a1/run", nil)
	request.Header.Set("api-key", secret)
	writer := &discardWriter{header: http.Header{}}

	serve := func() { handler.ServeHTTP(writer, request) }
	ask := func() {
		if _, err := checks.Check(b.Context(), check); err != nil {
			b.Fatal(err)
		}
	}
	serve()
	ask()
	var behind, bare []time.Duration
	for b.Loop() {
		began := time.Now()
		serve()
		middle := time.Now()
		ask()
		behind, bare = append(behind, middle.Sub(began)), append(bare, time.Since(middle))
	}
	b.ReportMetric(0, "ns/op") // of both together
	b.ReportMetric(micros(median(behind)), "µs/call")
	b.ReportMetric(micros(median(bare)), "µs/check")
	b.ReportMetric(micros(median(behind)-median(bare)), "µs/middleware")
	b.ReportMetric(testing.AllocsPerRun(1000, serve)-testing.AllocsPerRun(1000, ask), "allocs/middleware")
	if stats := kt.Stats(); stats.Allowed < int64(b.N) || stats.Refused > 0 {
		b.Fatalf("stats %+v", stats)
	}
}

// discardWriter is a http.ResponseWriter.
type discardWriter struct{ header http.Header }

func (w *discardWriter) Header() http.Header               { return w.header }
func (w *discardWriter) Write(content []byte) (int, error) { return len(content), nil }
func (w *discardWriter) WriteHeader(int)                   {}

// bearer is a token.
type bearer string

func (t bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(t)}, nil
}

func (bearer) RequireTransportSecurity() bool { return false }

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
