package e2e

import (
	"context"
	"encoding/hex"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	tracecollector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/prototext"

	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
)

// span is the part of a span that the tests read.
type span struct{ service, name, trace, id, parent string }

// collector is an OTLP receiver.
type collector struct {
	tracecollector.UnimplementedTraceServiceServer

	mu    sync.Mutex
	spans []span
	text  strings.Builder
}

// Export implements TraceServiceServer.
func (c *collector) Export(_ context.Context, req *tracecollector.ExportTraceServiceRequest) (*tracecollector.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text.WriteString(prototext.Format(req))
	for _, of := range req.GetResourceSpans() {
		service := ""
		for _, attribute := range of.GetResource().GetAttributes() {
			if attribute.GetKey() == "service.name" {
				service = attribute.GetValue().GetStringValue()
			}
		}
		for _, scope := range of.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.spans = append(c.spans, span{service, s.GetName(), hex.EncodeToString(s.GetTraceId()),
					hex.EncodeToString(s.GetSpanId()), hex.EncodeToString(s.GetParentSpanId())})
			}
		}
	}
	return &tracecollector.ExportTraceServiceResponse{}, nil
}

// find returns the spans of a service by name.
func (c *collector) find(service, name string) (found []span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.service == service && s.name == name {
			found = append(found, s)
		}
	}
	return found
}

// awaitSpan waits for a span of a service by name, with this parent; nil for any.
func (c *collector) awaitSpan(t *testing.T, service, name string, parent *span) (found span) {
	t.Helper()
	await(t, waitTimeout, func() bool {
		for _, found = range c.find(service, name) {
			if parent == nil || found.parent == parent.id && found.trace == parent.trace {
				return true
			}
		}
		return false
	}, func() any { return []any{service, name, parent, c.find(service, name)} })
	return found
}

// collect runs a collector and configures all processes of the test to send traces to it.
func collect(t *testing.T) *collector {
	t.Helper()
	listener, err := net.Listen("tcp", anyPort)
	if err != nil {
		t.Fatal(err)
	}
	c, server := &collector{}, grpc.NewServer()
	tracecollector.RegisterTraceServiceServer(server, c)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+listener.Addr().String())
	return c
}

// tracedCheck checks a key over REST with a traceparent header, and returns the client's span.
func (s *system) tracedCheck(k key) (client span) {
	s.t.Helper()
	client = span{trace: "4bf92f3577b34da6a3ce929d0e0e4736", id: "00f067aa0ba902b7"}
	body := `{"agentType":"agent","agentId":"a1","endpoint":"/v1/a1","apiKey":"` + k.secret + `"}`
	req, err := http.NewRequestWithContext(s.t.Context(), "POST", "http://"+s.server.GatewayAddr()+"/v1/check", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token(access.Checker, access.AllWorkspaces))
	req.Header.Set("traceparent", "00-"+client.trace+"-"+client.id+"-01")
	resp, err := doREST(s.t, http.DefaultClient, req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("the check returned %d", resp.StatusCode)
	}
	return client
}

const (
	check  = "keytrail.auth.v1.CheckService/Check"
	record = "keytrail.logs.v1.LogService/RecordRequestLogs"
)

// The environment applies to the whole process, so the tests of traces are not parallel.

func TestTraceFromRESTToTheStore(t *testing.T) {
	c := collect(t)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
	s, _ := replica(t, pgtest.Database(t, nil), replicaOptions{})
	k := s.createKey("acme", "k", nil)
	// The error response repeats the invalid value, which must not be in a trace.
	if code, answer := s.rest("POST", "/v1/check", object{"agentType": "acme", "agentId": "a1", "endpoint": "/v1/a1"}); code != http.StatusBadRequest {
		t.Errorf("a check of an unknown agent type returned %d %v", code, answer)
	}
	client := s.tracedCheck(k)
	rest := c.awaitSpan(t, "keytrail-gateway", "POST /v1/check", &client)
	call := c.awaitSpan(t, "keytrail-gateway", check, &rest)
	served := c.awaitSpan(t, "keytrail-authsvc", check, &call)
	c.awaitSpan(t, "keytrail-authsvc", "append to the trail", &served)
	sent := c.awaitSpan(t, "keytrail-authsvc", record, nil)
	stored := c.awaitSpan(t, "keytrail-logsvc", record, &sent)
	c.awaitSpan(t, "keytrail-logsvc", "store a batch", &stored)
	if sent.trace == client.trace {
		t.Error("the batch is in the trace of one of its calls")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, secret := range []string{k.secret, "acme", "/v1/a1", "Bearer", "command"} {
		if strings.Contains(c.text.String(), secret) {
			t.Errorf("the traces contain %q", secret)
		}
	}
}

func TestShutdownSendsTheLastTraces(t *testing.T) {
	c := collect(t)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
	s := start(t, t.TempDir(), time.Now)
	s.tracedCheck(s.createKey("acme", "k", nil))
	if sent := c.find("keytrail-serve", check); len(sent) != 0 {
		t.Fatalf("sent before the end: %v", sent)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if sent := c.find("keytrail-serve", check); len(sent) != 2 {
		t.Errorf("sent by the end: %v, want the gateway's and the service's", sent)
	}
}

func TestAnUnavailableCollectorBlocksNothing(t *testing.T) {
	// A collector that accepts connections and never responds.
	silent, err := net.Listen("tcp", anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, addr := range map[string]string{"unavailable": stableAddr(t), "silent": silent.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+addr)
			t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
			// The default timeout of an exporter is 10 s.
			t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "300000")
			t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "300000")
			t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "16")
			t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")
			s := start(t, t.TempDir(), time.Now)
			k := s.createKey("acme", "k", nil)
			for range 200 {
				s.tracedCheck(k)
			}
			began := time.Now()
			if err := s.stop(); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > waitTimeout/2 {
				t.Errorf("the stop took %v", took)
			}
		})
	}
}
