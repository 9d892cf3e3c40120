package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/testing/pgserver"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
)

// cluster is a Keytrail deployment of real processes, each of which can be killed.
type cluster struct {
	t *testing.T
	// In an embedded cluster postgres is nil, and auth and logs are the same process.
	postgres   *pgserver.Server
	auth, logs *daemon
	authAddr   string
	logsAddr   string
	trailDir   string
	signer     *access.Signer
	keyFile    string // the signer's private key
	checks     authv1.CheckServiceClient
	keys       authv1.KeyServiceClient
	list       logsv1.LogServiceClient
}

// newCluster returns an auth service with extra flags, a log service and a private Postgres. Only Postgres is started.
func newCluster(t *testing.T, flags ...string) *cluster {
	t.Helper()
	s := &cluster{t: t, postgres: pgtest.Private(t), authAddr: stableAddr(t), trailDir: filepath.Join(t.TempDir(), "trail")}
	database, logsAddr := s.postgres.URL("postgres"), stableAddr(t)
	signer, keyFile := newSigner(t)
	s.keyFile = keyFile
	s.logs = newDaemon(t, "logsvc", stableAddr(t), "--database-url", database, "--logs-addr", logsAddr, "--token-keys", keyFile)
	s.auth = newDaemon(t, "authsvc", stableAddr(t), append([]string{
		"--database-url", database, "--auth-addr", s.authAddr, "--logs-addr", logsAddr, "--trail-dir", s.trailDir,
		"--token-keys", keyFile, "--signing-key", keyFile,
	}, flags...)...)
	s.connect(signer, logsAddr)
	return s
}

// newEmbeddedCluster returns a cluster that is one `keytrail serve` process.
func newEmbeddedCluster(t *testing.T) *cluster {
	t.Helper()
	dir, logsAddr := t.TempDir(), stableAddr(t)
	s := &cluster{t: t, authAddr: stableAddr(t), trailDir: filepath.Join(dir, "trail")}
	s.auth = newDaemon(t, "serve", stableAddr(t), "--data-dir", dir, "--gateway-addr", anyPort, "--auth-addr", s.authAddr, "--logs-addr", logsAddr)
	s.logs = s.auth
	signer, keyFile := newSigner(t)
	s.keyFile = filepath.Join(dir, "signing-key.pem")
	if err := os.Rename(keyFile, s.keyFile); err != nil {
		t.Fatal(err)
	}
	s.connect(signer, logsAddr)
	return s
}

// connect creates the clients.
func (s *cluster) connect(signer *access.Signer, logsAddr string) {
	s.t.Helper()
	s.signer, s.logsAddr = signer, logsAddr
	auth := dial(s.t, s.authAddr, credentialsFrom(s.t, signer))
	s.checks, s.keys = authv1.NewCheckServiceClient(auth), authv1.NewKeyServiceClient(auth)
	s.list = logsv1.NewLogServiceClient(dial(s.t, logsAddr, credentialsFrom(s.t, signer)))
}

// start starts the processes and waits until they are ready.
func (s *cluster) start() {
	s.t.Helper()
	for _, d := range []*daemon{s.logs, s.auth} {
		if err := d.up(); err != nil {
			s.t.Fatal(err)
		}
	}
	s.logs.awaitReady()
	s.auth.awaitReady()
}

// kind is a kind of call with its expected result.
type kind struct {
	code string
	call *authv1.CheckRequest
	// workspace is the workspace of its rows.
	workspace string
	// weight is its relative frequency.
	weight int
}

// kinds creates keys for allowed calls and for each code that needs a valid secret.
func (s *cluster) kinds() []kind {
	s.t.Helper()
	good, off, old := s.createKey("good"), s.createKey("off"), s.createKey("old")
	listed := s.createKey("listed", "a1", "a2")
	s.update(off, &authv1.Key{Disabled: true}, "disabled")
	s.update(old, &authv1.Key{ExpireTime: timestamppb.New(time.Now().Add(-time.Hour))}, "expire_time")
	call := func(k *authv1.CreateKeyResponse, agentType, agentID string) *authv1.CheckRequest {
		return &authv1.CheckRequest{ApiKey: k.GetSecret(), AgentType: agentType, AgentId: agentID, Method: "POST"}
	}
	return []kind{
		{"", call(good, "agent", "a1"), "acme", 16},
		{"", call(listed, "agent", "a2"), "acme", 4},
		{"disabled", call(off, "agent", "a1"), "acme", 2},
		{"expired", call(old, "agent", "a1"), "acme", 2},
		{"scope_denied", call(good, "voice_agent", "a1"), "acme", 2},
		{"agent_denied", call(listed, "agent", "a3"), "acme", 2},
	}
}

// unprovedKinds returns calls that prove no key. They must stay rare: above 100 a second they share rows.
func unprovedKinds() []kind {
	return []kind{
		{"missing_token", &authv1.CheckRequest{AgentType: "agent", WorkspaceId: "acme"}, "acme", 1},
		{"invalid_token", &authv1.CheckRequest{AgentType: "agent", ApiKey: "sk_unknown"}, "_unattributed", 1},
	}
}

// awaitKinds waits until the auth service knows the keys of these calls, which another one may have created.
func (s *cluster) awaitKinds(kinds []kind) {
	s.t.Helper()
	for _, k := range kinds {
		probe := proto.CloneOf(k.call)
		probe.Endpoint = "/probe"
		var last *authv1.CheckResponse
		await(s.t, waitTimeout, func() bool {
			var err error
			last, err = s.checks.Check(s.t.Context(), probe)
			return err == nil && last.GetDenial().GetCode() == k.code
		}, func() any { return last })
	}
}

func (s *cluster) createKey(name string, agents ...string) *authv1.CreateKeyResponse {
	s.t.Helper()
	answer, err := s.keys.CreateKey(s.t.Context(), &authv1.CreateKeyRequest{
		WorkspaceId: "acme", Key: &authv1.Key{Name: name, Scopes: []string{"agent"}, AllAgents: len(agents) == 0, AgentIds: agents},
	}, grpc.WaitForReady(true))
	if err != nil {
		s.t.Fatalf("create key %s: %v", name, err)
	}
	return answer
}

func (s *cluster) update(k *authv1.CreateKeyResponse, change *authv1.Key, field string) {
	s.t.Helper()
	mask := &fieldmaskpb.FieldMask{Paths: []string{field}}
	request := &authv1.UpdateKeyRequest{WorkspaceId: "acme", KeyId: k.GetKey().GetId(), Key: change, UpdateMask: mask}
	if _, err := s.keys.UpdateKey(s.t.Context(), request); err != nil {
		s.t.Fatalf("update key %s: %v", k.GetKey().GetName(), err)
	}
}

// rows lists all rows.
func (s *cluster) rows() []*logsv1.RequestLog {
	s.t.Helper()
	return append(walk(s.t, s.list, &logsv1.ListRequestLogsRequest{WorkspaceId: "acme"}),
		walk(s.t, s.list, &logsv1.ListRequestLogsRequest{WorkspaceId: "_unattributed"})...)
}

// walk returns the rows of all pages of a list.
func walk(t *testing.T, list logsv1.LogServiceClient, request *logsv1.ListRequestLogsRequest) (rows []*logsv1.RequestLog) {
	t.Helper()
	request.PageSize = 1000
	for more := true; more; more = request.GetPageToken() != "" {
		ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
		page, err := list.ListRequestLogs(ctx, request, grpc.WaitForReady(true))
		cancel()
		if err != nil {
			t.Fatalf("list the rows of %v: %v", request, err)
		}
		rows, request.PageToken = append(rows, page.GetRequestLogs()...), page.GetNextPageToken()
	}
	return rows
}

// expectCleanTrail expects a trail without dead letters and damage.
func (s *cluster) expectCleanTrail() {
	s.t.Helper()
	files, err := os.ReadDir(s.trailDir)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, file := range files {
		if name := file.Name(); strings.HasPrefix(name, "dead-letters") {
			content, err := os.ReadFile(filepath.Join(s.trailDir, name))
			s.t.Errorf("dead letters in %s: %.500q %v", name, content, err)
		}
	}
	if printed := s.auth.printed.String(); strings.Contains(printed, "trail segment damaged") {
		s.t.Errorf("the trail was damaged:\n%s", printed)
	}
}

// settle waits until all acknowledged rows are stored, and compares them with the calls.
func (s *cluster) settle(calls history) comparison {
	s.t.Helper()
	s.logs.awaitReady()
	awaitShipped(s.t, s.auth.ops)
	v := calls.compare(s.rows())
	s.t.Logf("%s: %v", s.auth.name, v)
	return v
}
