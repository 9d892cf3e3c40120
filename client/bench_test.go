package client_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/keytrail/keytrail/client"
	"github.com/keytrail/keytrail/client/keytrailtest"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

// BenchmarkMiddleware compares a handler behind the middleware with a bare Check. Both call the same auth service in turn, each
// over a connection of its own. It reports the medians, and what the middleware takes above the check, which should be less
// than 20 µs. It is run by hand: no test compares the figure, because it depends on the machine.
//
//	go test ./client -run '^$' -bench 'Middleware$' -benchtime 20000x
func BenchmarkMiddleware(b *testing.B) {
	keytrail := keytrailtest.Start(b)
	kt := keytrail.Client(client.WithWorkspace("acme"))
	serve, ask := compared(b, kt, keytrail.Addr, keytrail.Token, keytrail.CreateKey("acme", nil))
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
	if stats := kt.Stats(); stats.Allowed < int64(b.N) || stats.Refused > 0 {
		b.Fatalf("stats %+v", stats)
	}
}

// BenchmarkMiddlewareAllocations reports the allocations of a call above those of a bare Check, with its share of a report. The
// auth service is an empty one, because a real one also allocates in the background.
func BenchmarkMiddlewareAllocations(b *testing.B) {
	addr := serveAuth(b, &emptyAuth{})
	kt := newClient(b, addr)
	serve, ask := compared(b, kt, addr, "", "sk_x")
	behind, bare := 0.0, 0.0
	for b.Loop() {
		behind += allocations(kt, serve)
		bare += allocations(kt, ask)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric((behind-bare)/float64(b.N), "allocs/middleware")
}

// allocations returns how many allocations a function makes, until all reports are sent.
func allocations(kt *client.Client, do func()) float64 {
	const runs = 5000
	settle := func() {
		for kt.Stats().ReportsPending > 0 {
			runtime.Gosched()
		}
	}
	var before, after runtime.MemStats
	settle()
	runtime.ReadMemStats(&before)
	for range runs {
		do()
	}
	settle()
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / runs
}

// emptyAuth allows all calls.
type emptyAuth struct {
	authv1.UnimplementedCheckServiceServer
}

func (*emptyAuth) Check(context.Context, *authv1.CheckRequest) (*authv1.CheckResponse, error) {
	return &authv1.CheckResponse{Allowed: true, HttpStatus: 200, ReportToken: strings.Repeat("x", 300)}, nil
}

func (*emptyAuth) Report(context.Context, *authv1.ReportRequest) (*authv1.ReportResponse, error) {
	return &authv1.ReportResponse{}, nil
}

// compared returns two functions, both called once: one calls a handler behind the middleware, the other checks the same call.
func compared(b *testing.B, kt *client.Client, addr, token, secret string) (serve, ask func()) {
	noContent := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	handler := kt.HTTPMiddleware(http.HandlerFunc(noContent))
	plaintext := grpc.WithTransportCredentials(insecure.NewCredentials())
	conn, err := grpc.NewClient(addr, plaintext, grpc.WithPerRPCCredentials(bearer(token)))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	checks := authv1.NewCheckServiceClient(conn)
	check := &authv1.CheckRequest{
		ApiKey: secret, AgentType: "agent", AgentId: "a1", Method: "POST", Endpoint: "/v1/agents/a1/run", WorkspaceId: "acme",
	}
	request := httptest.NewRequest(http.MethodPost, "/v1/agents/a1/run", nil)
	request.Header.Set("api-key", secret)
	writer := &discardWriter{header: http.Header{}}
	serve = func() { handler.ServeHTTP(writer, request) }
	ask = func() {
		if _, err := checks.Check(b.Context(), check); err != nil {
			b.Fatal(err)
		}
	}
	serve()
	ask()
	return serve, ask
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
