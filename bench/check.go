package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/grpc"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// checkBench compares the auth service with an empty gRPC server. Both servers and the load are separate processes.
type checkBench struct {
	database `embed:""`
	Pairs    int           `default:"5" help:"Number of measurements of each server, in turn."`
	Time     time.Duration `default:"4s" help:"Duration of each measurement."`
	Binary   string        `type:"existingfile" help:"The keytrail command to measure; without it, the one of this source tree is built."`
}

// loadShape is a number of callers and of connections.
type loadShape struct{ callers, connections int }

var loadShapes = []loadShape{{64, 2}, {1, 1}}

// serverFigures are the results of one server under one load.
type serverFigures struct {
	CallsPerS     float64 `json:"calls_per_s"`
	P50Us         float64 `json:"p50_us"`
	P99Us         float64 `json:"p99_us"`
	CPUUsPerCall  float64 `json:"cpu_us_per_call"`
	AllocsPerCall float64 `json:"allocs_per_call"`
}

// shapeFigures compare the two servers. All figures are medians of the pairs.
type shapeFigures struct {
	Callers         int           `json:"callers"`
	Connections     int           `json:"connections"`
	Empty           serverFigures `json:"empty"`
	Auth            serverFigures `json:"auth"`
	ThroughputRatio float64       `json:"throughput_ratio"`
	CPURatio        float64       `json:"cpu_ratio"`
}

// Run measures both servers in turn, under each load.
func (b *checkBench) Run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "keytrail-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	makeDatabase, stopDatabase, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopDatabase()) }()
	url, err := makeDatabase("check")
	if err != nil {
		return err
	}
	auth, err := b.startAuthService(ctx, dir, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, auth.stop()) }()
	empty, err := startEmptyServer(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, empty.stop()) }()
	var all []shapeFigures
	for _, shape := range loadShapes {
		figures, err := b.compare(ctx, shape, empty, auth)
		if err != nil {
			return err
		}
		all = append(all, figures)
	}
	line, err := json.Marshal(all)
	if err != nil {
		return err
	}
	_, err = fmt.Println(string(line))
	return err
}

func (b *checkBench) compare(ctx context.Context, shape loadShape, empty, auth *measuredServer) (shapeFigures, error) {
	var emptyRuns, authRuns []serverFigures
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "%d callers over %d connections\tcalls/s\tp50 µs\tp99 µs\tCPU µs/call\tallocations/call\t\n", shape.callers, shape.connections)
	for range b.Pairs {
		for _, s := range []*measuredServer{empty, auth} {
			f, err := s.measure(ctx, shape, b.Time)
			if err != nil {
				return shapeFigures{}, fmt.Errorf("measure the %s: %w", s.name, err)
			}
			fmt.Fprintf(table, "%s\t%.0f\t%.0f\t%.0f\t%.1f\t%.0f\t\n", s.name, f.CallsPerS, f.P50Us, f.P99Us, f.CPUUsPerCall, f.AllocsPerCall)
			if s == empty {
				emptyRuns = append(emptyRuns, f)
			} else {
				authRuns = append(authRuns, f)
			}
		}
	}
	result := shapeFigures{Callers: shape.callers, Connections: shape.connections, Empty: medians(emptyRuns), Auth: medians(authRuns)}
	result.ThroughputRatio = round(result.Auth.CallsPerS / result.Empty.CallsPerS)
	result.CPURatio = round(result.Auth.CPUUsPerCall / result.Empty.CPUUsPerCall)
	fmt.Fprintf(table, "ratio\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t\n", result.ThroughputRatio, result.Auth.P50Us/result.Empty.P50Us,
		result.Auth.P99Us/result.Empty.P99Us, result.CPURatio, result.Auth.AllocsPerCall/result.Empty.AllocsPerCall)
	return result, table.Flush()
}

// startAuthService starts `keytrail authsvc` with default settings and a log service that discards rows, and creates a
// key and a token.
func (b *checkBench) startAuthService(ctx context.Context, dir, databaseURL string) (*measuredServer, error) {
	binary := b.Binary
	if binary == "" {
		binary = filepath.Join(dir, "keytrail")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build keytrail: %w\n%s", err, out)
		}
	}
	logsAddr, stopLogs, err := startDiscardLogServer()
	if err != nil {
		return nil, err
	}
	keyFile := filepath.Join(dir, "key.pem")
	keytrail := func(args ...string) (string, error) {
		command := exec.CommandContext(ctx, binary, args...)
		var stderr bytes.Buffer
		command.Stderr = &stderr
		out, err := command.Output()
		if err != nil {
			return "", fmt.Errorf("keytrail %s: %w\n%s", args[0], err, &stderr)
		}
		return strings.TrimSpace(string(out)), nil
	}
	if _, err := keytrail("token", "keygen", "--out", keyFile); err != nil {
		return nil, errors.Join(err, stopLogs())
	}
	authAddr, opsAddr := freeAddr(), freeAddr()
	command := exec.CommandContext(ctx, binary, "authsvc", "--database-url", databaseURL, "--auth-addr", authAddr, "--ops-addr", opsAddr,
		"--logs-addr", logsAddr, "--trail-dir", filepath.Join(dir, "trail"), "--token-keys", keyFile, "--signing-key", keyFile, "--log-level", "warn")
	command.Stderr = os.Stderr
	s := &measuredServer{name: "auth service", command: command, addr: authAddr, opsAddr: opsAddr, afterwards: stopLogs}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, stopLogs())
	}
	admin, err := keytrail("token", "create", "--signing-key", keyFile, "--role", "admin", "--workspace", "acme")
	if err == nil {
		s.token, err = keytrail("token", "create", "--signing-key", keyFile, "--role", "checker", "--workspace", "acme")
	}
	if err == nil {
		s.secret, err = keytrail("keys", "create", "--auth-addr", authAddr, "--token", admin, "--workspace", "acme", "--name", "bench", "--scope", "agent", "--all-agents")
	}
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// discardLogServer discards rows.
type discardLogServer struct {
	logsv1.UnimplementedLogServiceServer
}

func (discardLogServer) RecordRequestLogs(context.Context, *logsv1.RecordRequestLogsRequest) (*logsv1.RecordRequestLogsResponse, error) {
	return &logsv1.RecordRequestLogsResponse{}, nil
}

func startDiscardLogServer() (addr string, stop func() error, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := grpc.NewServer()
	logsv1.RegisterLogServiceServer(server, discardLogServer{})
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	return listener.Addr().String(), func() error {
		server.Stop()
		return <-ended
	}, nil
}

// freeAddr returns a loopback address that was just free.
func freeAddr() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:0"
	}
	defer listener.Close()
	return listener.Addr().String()
}

// measuredServer is a server process.
type measuredServer struct {
	name          string
	command       *exec.Cmd
	addr, opsAddr string
	token, secret string
	// afterwards runs after the process has exited.
	afterwards func() error
}

// start starts the process and waits until it serves its metrics.
func (s *measuredServer) start(ctx context.Context) error {
	if err := s.command.Start(); err != nil {
		return err
	}
	for {
		if _, err := s.allocations(ctx); err == nil {
			return nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return errors.Join(err, s.stop())
		}
	}
}

func (s *measuredServer) stop() error {
	err := s.command.Process.Signal(os.Interrupt)
	_ = s.command.Wait() // it was interrupted; its exit code does not matter
	if s.afterwards != nil {
		err = errors.Join(err, s.afterwards())
	}
	return err
}

// measure runs the load in a separate process.
func (s *measuredServer) measure(ctx context.Context, shape loadShape, d time.Duration) (serverFigures, error) {
	self, err := os.Executable()
	if err != nil {
		return serverFigures{}, err
	}
	cpuBefore, err := s.cpuTime()
	if err != nil {
		return serverFigures{}, err
	}
	allocsBefore, err := s.allocations(ctx)
	if err != nil {
		return serverFigures{}, err
	}
	command := exec.CommandContext(ctx, self, "check-load", "--addr", s.addr, "--callers", strconv.Itoa(shape.callers),
		"--connections", strconv.Itoa(shape.connections), "--time", d.String(), "--token", s.token, "--secret", s.secret)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return serverFigures{}, fmt.Errorf("run the load: %w", err)
	}
	var load loadFigures
	if err := json.Unmarshal(out, &load); err != nil {
		return serverFigures{}, fmt.Errorf("parse the output of the load: %w", err)
	}
	cpu, err := s.cpuTime()
	if err != nil {
		return serverFigures{}, err
	}
	allocs, err := s.allocations(ctx)
	if err != nil {
		return serverFigures{}, err
	}
	calls := float64(load.Calls)
	return serverFigures{
		CallsPerS: round(calls / load.Seconds), P50Us: load.P50Us, P99Us: load.P99Us,
		CPUUsPerCall: round(float64((cpu - cpuBefore).Microseconds()) / calls), AllocsPerCall: round((allocs - allocsBefore) / calls),
	}, nil
}

// cpuTime returns the CPU time of the process (/proc/PID/stat, fields 14 and 15, in hundredths of a second; see
// proc(5)).
func (s *measuredServer) cpuTime() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.command.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read the processor time (Linux only): %w", err)
	}
	// The second field is the name in parentheses, which may hold spaces.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", s.command.Process.Pid, len(fields))
	}
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, err
}

// allocations returns the number of objects that the process has allocated.
func (s *measuredServer) allocations(ctx context.Context) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.opsAddr+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, found := strings.CutPrefix(lines.Text(), "go_memstats_mallocs_total "); found {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, errors.New("the metrics have no go_memstats_mallocs_total")
}
