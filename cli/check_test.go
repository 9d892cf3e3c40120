package cli

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/keytrail/keytrail/app"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/trail"
)

// startServer runs everything in one process until the end of the test.
func startServer(t *testing.T) (server *app.Server, dataDir string) {
	t.Helper()
	dataDir = t.TempDir()
	server, stop, err := serveFrom(dataDir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("the server stopped with %v", err)
		}
	})
	return server, dataDir
}

// serveFrom runs everything in one process, as `keytrail serve` does, on free ports.
func serveFrom(dataDir string, log *slog.Logger) (server *app.Server, stop func() error, err error) {
	const free = "127.0.0.1:0"
	config := app.ServeConfig{
		DataDir: dataDir, GatewayAddr: free, AuthAddr: free, LogsAddr: free, OpsAddr: free,
		Retention: logsvc.DefaultRetention, AgentTypes: []string{"agent", "data_agent", "voice_agent"},
	}
	config.TrailFsync, config.TrailMaxBytes, config.TrailFull = time.Second, trail.MinBytes, "allow"
	ctx, cancel := context.WithCancel(context.Background())
	server, err = app.NewServer(ctx, config, log, time.Now)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	return server, func() error {
		cancel()
		return <-ended
	}, nil
}

func TestCheckExitCodes(t *testing.T) {
	server, dataDir := startServer(t)
	at := []string{"--auth-addr", server.AuthAddr(), "--data-dir", dataDir}
	run := func(args ...string) (int, string, string) {
		t.Helper()
		return keytrail(t, append(args, at...)...)
	}
	code, secret, stderr := run("keys", "create", "-w", "acme", "--name", "n", "--scope", "agent", "--all-agents")
	if code != 0 || !strings.HasPrefix(secret, "sk_") {
		t.Fatalf("keys create: exit code %d, out %q, err %q", code, secret, stderr)
	}
	secret = strings.TrimSpace(secret)
	for _, tt := range []struct {
		apiKey, agentType string
		code              int
		says              string
	}{
		{secret, "agent", 0, "allowed"},
		{secret, "data_agent", 3, "403 scope_denied"},
		{"", "agent", 3, "401 missing_token"},
		{secret + " ", "agent", 3, "401 invalid_token"},
		{secret, "robot", 1, "agent_type: "},
	} {
		code, stdout, stderr := run("check", "--api-key", tt.apiKey, "--agent-type", tt.agentType)
		if code != tt.code || !strings.Contains(stdout+stderr, tt.says) {
			t.Errorf("a check with %q on a %s: exit code %d, out %q, err %q; want %d and %q",
				tt.apiKey, tt.agentType, code, stdout, stderr, tt.code, tt.says)
		}
	}
}
