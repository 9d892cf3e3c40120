package e2e

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"

	"github.com/keytrail/keytrail/app"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
)

// BenchmarkCheck makes allowed checks one after another, over gRPC and TCP, with all interceptors and the trail.
func BenchmarkCheck(b *testing.B) {
	conn, secret := startBenchmark(b)
	checks := authv1.NewCheckServiceClient(conn)
	request := &authv1.CheckRequest{ApiKey: secret, AgentType: "agent", AgentId: "a1", Method: "POST", Endpoint: "/v1/agents/a1/run"}
	b.ReportAllocs()
	for b.Loop() {
		if answer, err := checks.Check(b.Context(), request); err != nil || !answer.GetAllowed() {
			b.Fatal(answer, err)
		}
	}
}

// BenchmarkEnvoyCheck is BenchmarkCheck with the messages of Envoy.
func BenchmarkEnvoyCheck(b *testing.B) {
	conn, secret := startBenchmark(b)
	checks := authv3.NewAuthorizationClient(conn)
	request := (&envoyCall{path: "/v1/agents/a1/run", apiKey: secret}).request()
	b.ReportAllocs()
	for b.Loop() {
		if answer, err := checks.Check(b.Context(), request); err != nil || answer.GetOkResponse() == nil {
			b.Fatal(answer, err)
		}
	}
}

// startBenchmark starts all services, and returns a checker's connection and a secret.
func startBenchmark(b *testing.B) (checker *grpc.ClientConn, secret string) {
	b.Helper()
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
	return as(access.Checker), key.GetSecret()
}

// BenchmarkForwardAuth compares a forward-auth request, as Traefik sends it, with the same check over REST: allowed, one after
// another on one connection.
func BenchmarkForwardAuth(b *testing.B) {
	config := serveConfig(b.TempDir())
	config.TrailMaxBytes = 1 << 30
	server, err := app.NewServer(b.Context(), config, quiet, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	run(b, server)
	signer := readSigner(b, config.DataDir)
	keys := authv1.NewKeyServiceClient(dial(b, server.AuthAddr(),
		grpc.WithPerRPCCredentials(access.NewToken(token(b, signer, access.Admin, access.AllWorkspaces)))))
	key, err := keys.CreateKey(b.Context(), &authv1.CreateKeyRequest{
		WorkspaceId: "acme", Key: &authv1.Key{Name: "k", Scopes: []string{"agent"}, AllAgents: true},
	})
	if err != nil {
		b.Fatal(err)
	}
	checker := token(b, signer, access.Checker, access.AllWorkspaces)
	bench := func(name, method, path, body string, header http.Header) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				benchRequest(b, method, "http://"+server.GatewayAddr()+path, body, header)
			}
		})
	}
	bench("endpoint=forward-auth", http.MethodGet, "/v1/forward-auth?workspace_id=acme", "", http.Header{
		"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("keytrail:"+checker))}, "Api-Key": {key.GetSecret()},
		"X-Forwarded-Method": {"POST"}, "X-Forwarded-Uri": {"/v1/agents/a1"},
	})
	const check = `{"apiKey":%q,"agentType":"agent","agentId":"a1","method":"POST","endpoint":"/v1/agents/a1","workspaceId":"acme"}`
	body := fmt.Sprintf(check, key.GetSecret())
	bench("endpoint=check", http.MethodPost, "/v1/check", body, http.Header{"Authorization": {"Bearer " + checker}})
}

// benchRequest sends a request and expects the status 200.
func benchRequest(b *testing.B, method, url, body string, header http.Header) {
	request, err := http.NewRequestWithContext(b.Context(), method, url, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
		b.Fatal(response.Status, err)
	}
}
