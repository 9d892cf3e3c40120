package e2e

import (
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/keytrail/keytrail/app"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
)

// BenchmarkCheck makes allowed checks one after another, over gRPC and TCP, with all interceptors and the trail.
func BenchmarkCheck(b *testing.B) {
	config := serveConfig(b.TempDir())
	config.TrailMaxBytes = 1 << 30
	server, err := app.NewServer(b.Context(), config, quiet, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	run(b, server)
	signer := readSigner(b, config.DataDir)
	as := func(role access.Role) *grpc.ClientConn {
		bearer := access.NewToken(token(b, signer, role, access.AllWorkspaces))
		return dial(b, server.AuthAddr(), grpc.WithPerRPCCredentials(bearer))
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
