package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

// The commands of the processes that `bench check` starts.

// emptyServerCommand runs a gRPC server without options whose checks decide nothing.
type emptyServerCommand struct {
	Addr    string `required:""`
	OpsAddr string `required:""`
}

// emptyServer returns responses of the same size as the auth service.
type emptyServer struct {
	authv1.UnimplementedCheckServiceServer
	answer *authv1.CheckResponse
}

func (s emptyServer) Check(context.Context, *authv1.CheckRequest) (*authv1.CheckResponse, error) {
	return s.answer, nil
}

func (s emptyServer) Report(context.Context, *authv1.ReportRequest) (*authv1.ReportResponse, error) {
	return &authv1.ReportResponse{}, nil
}

// Run serves until ctx ends.
func (c *emptyServerCommand) Run(ctx context.Context) error {
	listener, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return err
	}
	id := strings.Repeat("0", 36)
	server := grpc.NewServer()
	authv1.RegisterCheckServiceServer(server, emptyServer{answer: &authv1.CheckResponse{
		Allowed: true, HttpStatus: 200, RequestLogId: id, WorkspaceId: "acme", KeyId: id, KeyName: "bench", KeyLast4: "abcd",
		ReportToken: strings.Repeat("A", 240),
	}})
	ops := &http.Server{Addr: c.OpsAddr, Handler: promhttp.Handler(), ReadHeaderTimeout: time.Second}
	group := errgroup.Group{}
	group.Go(func() error { return server.Serve(listener) })
	group.Go(func() error { _ = ops.ListenAndServe(); return nil }) // it returns after Close below
	<-ctx.Done()
	server.Stop()
	_ = ops.Close()
	return group.Wait()
}

func startEmptyServer(ctx context.Context) (*measuredServer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &measuredServer{name: "empty server", addr: freeAddr(), opsAddr: freeAddr(), token: "none", secret: "none"}
	s.command = exec.CommandContext(ctx, self, "check-empty", "--addr", s.addr, "--ops-addr", s.opsAddr)
	s.command.Stderr = os.Stderr
	return s, s.start(ctx)
}

// reportBatch is the number of outcomes in a report.
const reportBatch = 100

// loadCommand checks calls in a closed loop and reports them in batches.
type loadCommand struct {
	Addr        string        `required:""`
	Callers     int           `required:""`
	Connections int           `required:""`
	Time        time.Duration `required:""`
	Token       string        `required:""`
	Secret      string        `required:""`
}

// loadFigures is the output of loadCommand.
type loadFigures struct {
	Calls   int     `json:"calls"`
	Seconds float64 `json:"seconds"`
	P50Us   float64 `json:"p50_us"`
	P99Us   float64 `json:"p99_us"`
}

// Run makes the calls.
func (c *loadCommand) Run(ctx context.Context) error {
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+c.Token)
	var clients []authv1.CheckServiceClient
	for range c.Connections {
		conn, err := grpc.NewClient(c.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return err
		}
		defer conn.Close()
		clients = append(clients, authv1.NewCheckServiceClient(conn))
	}
	var mu sync.Mutex
	var took []time.Duration
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for i := range c.Callers {
		group.Go(func() error {
			own, err := c.call(ctx, clients[i%len(clients)], began.Add(c.Time))
			mu.Lock()
			defer mu.Unlock()
			took = append(took, own...)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	figures := loadFigures{Calls: len(took), Seconds: time.Since(began).Seconds(), P50Us: us(quantile(took, 0.5)), P99Us: us(quantile(took, 0.99))}
	return json.NewEncoder(os.Stdout).Encode(figures)
}

func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

func (c *loadCommand) call(ctx context.Context, client authv1.CheckServiceClient, end time.Time) (took []time.Duration, err error) {
	request := &authv1.CheckRequest{
		ApiKey: c.Secret, AgentType: "agent", AgentId: "support-bot", Method: "POST", Endpoint: "/v1/agents/support-bot/messages", WorkspaceId: "acme",
	}
	report := &authv1.ReportRequest{}
	latency := 12.5
	for now := time.Now(); now.Before(end); {
		answer, err := client.Check(ctx, request)
		if err != nil {
			return nil, err
		}
		if !answer.GetAllowed() {
			return nil, fmt.Errorf("the check is denied: %v", answer.GetDenial())
		}
		done := time.Now()
		took, now = append(took, done.Sub(now)), done
		report.Outcomes = append(report.Outcomes, &authv1.Outcome{ReportToken: answer.GetReportToken(), Status: 200, LatencyMs: &latency})
		if len(report.Outcomes) < reportBatch {
			continue
		}
		if _, err := client.Report(ctx, report); err != nil {
			return nil, err
		}
		report.Outcomes, now = report.Outcomes[:0], time.Now()
	}
	return took, nil
}

// medians returns the median of each figure.
func medians(runs []serverFigures) serverFigures {
	median := func(figure func(serverFigures) float64) float64 {
		slices.SortFunc(runs, func(a, b serverFigures) int { return cmp.Compare(figure(a), figure(b)) })
		return figure(runs[len(runs)/2])
	}
	return serverFigures{
		CallsPerS:     median(func(f serverFigures) float64 { return f.CallsPerS }),
		P50Us:         median(func(f serverFigures) float64 { return f.P50Us }),
		P99Us:         median(func(f serverFigures) float64 { return f.P99Us }),
		CPUUsPerCall:  median(func(f serverFigures) float64 { return f.CPUUsPerCall }),
		AllocsPerCall: median(func(f serverFigures) float64 { return f.AllocsPerCall }),
	}
}
