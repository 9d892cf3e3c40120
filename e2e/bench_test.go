package e2e

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/keytrail/keytrail/app"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
)

// BenchmarkCheck is one allowed check after the other, over gRPC and TCP, through everything that a check passes.
func BenchmarkCheck(b *testing.B) {
	config := app.ServeConfig{
		DataDir: b.TempDir(), GatewayAddr: anyPort, AuthAddr: anyPort, LogsAddr: anyPort, OpsAddr: anyPort,
		Retention: retention, AgentTypes: []string{"agent"},
	}
	config.TrailFsync, config.TrailMaxBytes, config.TrailFull = 100*time.Millisecond, 1<<30, "allow"
	server, err := app.NewServer(b.Context(), config, quiet, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}()
	signer, err := access.ReadSigner(filepath.Join(config.DataDir, "signing-key.pem"))
	if err != nil {
		b.Fatal(err)
	}
	as := func(role access.Role) *grpc.ClientConn {
		token, err := signer.Token(access.Grant{Role: role, Workspaces: []string{access.AllWorkspaces}, From: time.Now(), TTL: time.Hour})
		if err != nil {
			b.Fatal(err)
		}
		conn, err := grpc.NewClient(server.AuthAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(access.NewToken(token)))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close() })
		return conn
	}
	key, err := authv1.NewKeyServiceClient(as(access.Admin)).CreateKey(b.Context(), &authv1.CreateKeyRequest{
		WorkspaceId: "acme", Key: &authv1.Key{Name: "k", Scopes: []string{"agent"}, AllAgents: true},
	})
	if err != nil {
		b.Fatal(err)
	}
	checks := authv1.NewCheckServiceClient(as(access.Checker))
	request := &authv1.CheckRequest{ApiKey: key.GetSecret(), AgentType: "agent", AgentId: "a1", Method: "POST", Endpoint: "/v1/agents/a1/run"}
	b.ReportAllocs()
	for b.Loop() {
		if answer, err := checks.Check(b.Context(), request); err != nil || !answer.GetAllowed() {
			b.Fatal(answer, err)
		}
	}
}
