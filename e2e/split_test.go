package e2e

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/keytrail/keytrail/app"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/testing/pgserver"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
)

const (
	anyPort   = "127.0.0.1:0"
	retention = 30 * 24 * time.Hour
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// runServer fails the test if the server was not created, and runs it.
func runServer(t *testing.T, server *app.Server, err error) *app.Server {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	run(t, server)
	return server
}

// replicaOptions configure the auth service of a replica. The zero value has the defaults of the tests.
type replicaOptions struct {
	now          func() time.Time
	skewed       bool
	maxStaleness time.Duration
	log          *slog.Logger
	// logsAddr is the address of its log service.
	logsAddr string
	// secure configures TLS of the services. The clients use transport and client.
	secure    func(*app.LogsConfig, *app.AuthConfig, *app.GatewayConfig)
	transport credentials.TransportCredentials
	client    *http.Client
}

func (o replicaOptions) withDefaults() replicaOptions {
	o.skewed = o.now != nil
	if !o.skewed {
		o.now = time.Now
	}
	if o.secure == nil {
		o.secure = func(*app.LogsConfig, *app.AuthConfig, *app.GatewayConfig) {}
		o.transport, o.client = insecure.NewCredentials(), nil
	}
	o.maxStaleness, o.log = cmp.Or(o.maxStaleness, 30*time.Second), cmp.Or(o.log, quiet)
	return o
}

// logService runs a log service that accepts tokens of one key.
func logService(t *testing.T, url, addr, keyFile string) *app.Server {
	t.Helper()
	return runLogs(t, app.LogsConfig{}, url, addr, keyFile)
}

// runLogs is logService with a configuration.
func runLogs(t *testing.T, config app.LogsConfig, url, addr, keyFile string) *app.Server {
	t.Helper()
	config.DatabaseURL, config.LogsAddr, config.OpsAddr = url, addr, anyPort
	config.Retention, config.SearchBudget = retention, 250*time.Millisecond
	config.TokenKeys = []string{keyFile}
	server, err := app.NewLogsServer(t.Context(), config, quiet, time.Now)
	return runServer(t, server, err)
}

// replica runs one log service, auth service and gateway. It returns the system and its auth service.
func replica(t *testing.T, url string, options replicaOptions) (s *system, authServer *app.Server) {
	t.Helper()
	options = options.withDefaults()
	var logs app.LogsConfig
	var auth app.AuthConfig
	var gateway app.GatewayConfig
	options.secure(&logs, &auth, &gateway)
	signer, keyFile := newSigner(t)
	logsServer := runLogs(t, logs, url, anyPort, keyFile)
	auth.DatabaseURL, auth.AuthAddr, auth.OpsAddr = url, anyPort, anyPort
	auth.LogsAddr = cmp.Or(options.logsAddr, logsServer.LogsAddr())
	auth.TrailDir, auth.TrailFsync, auth.TrailMaxBytes, auth.TrailFull = t.TempDir(), 100*time.Millisecond, 64<<20, "allow"
	auth.TrailStallTimeout = stallTimeout
	auth.TokenKeys, auth.SigningKey = []string{keyFile}, keyFile
	if options.skewed {
		// A token of its own would have a time that the log service rejects.
		auth.SigningKey, auth.LogsTokenFile = "", tokenFile(t, token(t, signer, access.Ingester, access.AllWorkspaces))
	}
	auth.AgentTypes, auth.MaxStaleness = []string{"agent", "voice_agent"}, options.maxStaleness
	authServer, err := app.NewAuthServer(t.Context(), auth, options.log, options.now)
	authServer = runServer(t, authServer, err)
	gateway.TokenKeys = []string{keyFile}
	gateway.GatewayAddr, gateway.AuthAddr, gateway.LogsAddr, gateway.OpsAddr = anyPort, authServer.AuthAddr(), logsServer.LogsAddr(), anyPort
	gatewayServer, err := app.NewGatewayServer(t.Context(), gateway, quiet)
	gatewayServer = runServer(t, gatewayServer, err)
	parts := []*app.Server{logsServer, authServer, gatewayServer}
	s = &system{t: t, server: gatewayServer, parts: parts, client: options.client, signer: signer, keyFile: keyFile}
	transport := grpc.WithTransportCredentials(options.transport)
	conn := dial(t, authServer.AuthAddr(), transport, s.credentials())
	s.checks, s.keys = authv1.NewCheckServiceClient(conn), authv1.NewKeyServiceClient(conn)
	s.logs = logsv1.NewLogServiceClient(dial(t, logsServer.LogsAddr(), transport, s.credentials()))
	return s, authServer
}

// newReplicaPair runs two replicas of all services on one Postgres.
func newReplicaPair(t *testing.T, url string) (first, other *system) {
	t.Helper()
	first, _ = replica(t, url, replicaOptions{})
	other, _ = replica(t, url, replicaOptions{})
	return first, other
}

func TestReplicasOnOnePostgresAreOneSystem(t *testing.T) {
	t.Parallel()
	first, other := newReplicaPair(t, pgtest.Database(t, nil))
	k := first.createKey("acme", "k", nil)
	other.await(func() bool { return other.check(k, &authv1.CheckRequest{}).GetAllowed() }, func() any { return "not allowed" })
	answer := first.check(k, &authv1.CheckRequest{Endpoint: "/across"})
	report := &authv1.ReportRequest{Outcomes: []*authv1.Outcome{{ReportToken: answer.GetReportToken(), Status: 201, LatencyMs: new(float64(3))}}}
	if _, err := other.checks.Report(t.Context(), report); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*system{first, other} {
		if row := s.row("acme", answer.GetRequestLogId(), finished); row["status"] != 201.0 || row["keyName"] != "k" {
			t.Errorf("row %v", row)
		}
	}
	first.ok("PATCH", first.keyPath("acme", k), object{"disabled": true})
	other.await(func() bool { return other.check(k, &authv1.CheckRequest{}).GetDenial().GetCode() == "disabled" }, func() any { return "still allowed" })
	other.ok("DELETE", other.keyPath("acme", k), nil)
	first.await(func() bool { return first.check(k, &authv1.CheckRequest{}).GetDenial().GetCode() == "invalid_token" }, func() any { return "still known" })
}

func TestChecksContinueWhilePostgresRestarts(t *testing.T) {
	t.Parallel()
	server := pgtest.Private(t)
	first, other := newReplicaPair(t, server.URL("postgres"))
	k := first.createKey("acme", "k", nil)
	other.await(func() bool { return other.check(k, &authv1.CheckRequest{}).GetAllowed() }, func() any { return "not allowed" })
	ctx, stop := context.WithCancel(t.Context())
	group, _ := errgroup.WithContext(ctx)
	answered := make([][]string, 2)
	for i, s := range []*system{first, other} {
		group.Go(func() error {
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				answer, err := s.checks.Check(t.Context(), &authv1.CheckRequest{ApiKey: k.secret, AgentType: "voice_agent", Endpoint: "/load"})
				if err != nil {
					return err
				}
				answered[i] = append(answered[i], answer.GetRequestLogId())
				<-tick.C
			}
			return nil
		})
	}
	for _, mode := range []pgserver.Mode{pgserver.Immediate, pgserver.Fast} {
		if err := server.Restart(t.Context(), mode); err != nil {
			t.Fatal(err)
		}
		// The system works again: the other replica accepts a new key.
		first.await(func() bool {
			answer, err := first.keys.CreateKey(t.Context(), &authv1.CreateKeyRequest{
				WorkspaceId: "acme", Key: &authv1.Key{Name: "later", Scopes: []string{"agent"}, AllAgents: true},
			})
			if err != nil {
				return false
			}
			later := key{secret: answer.GetSecret()}
			other.await(func() bool { return other.check(later, &authv1.CheckRequest{}).GetAllowed() }, func() any { return "not allowed" })
			return true
		}, func() any { return "no key can be created" })
	}
	stop()
	if err := group.Wait(); err != nil {
		t.Fatalf("a check failed: %v", err)
	}
	want := len(answered[0]) + len(answered[1])
	rows := map[string]int{}
	other.await(func() bool {
		clear(rows)
		token := ""
		for more := true; more; more = token != "" {
			page, err := other.logs.ListRequestLogs(t.Context(), &logsv1.ListRequestLogsRequest{
				WorkspaceId: "acme", Endpoint: "/load", PageSize: 1000, PageToken: token,
			})
			if err != nil {
				return false
			}
			for _, row := range page.GetRequestLogs() {
				rows[row.GetId()]++
			}
			token = page.GetNextPageToken()
		}
		return len(rows) == want
	}, func() any { return len(rows) })
	for id, times := range rows {
		if times != 1 {
			t.Errorf("row %s occurs %d times", id, times)
		}
	}
}
