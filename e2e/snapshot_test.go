package e2e

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/keytrail/keytrail/app"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/testing/pgserver"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
)

// restarting is an auth service that can be restarted on its trail folder, without a log service.
type restarting struct {
	t      *testing.T
	config app.AuthConfig
	signer *access.Signer
	server *app.Server
	stop   func() error
	checks authv1.CheckServiceClient
	keys   authv1.KeyServiceClient
	logged bytes.Buffer
}

func newRestarting(t *testing.T, url string) *restarting {
	signer, keyFile := newSigner(t)
	s := &restarting{t: t, signer: signer}
	s.config.DatabaseURL, s.config.AuthAddr, s.config.OpsAddr, s.config.LogsAddr = url, anyPort, anyPort, stableAddr(t)
	s.config.TrailDir, s.config.TrailFsync, s.config.TrailMaxBytes = t.TempDir(), 100*time.Millisecond, 64<<20
	s.config.TrailFull = "allow"
	s.config.TokenKeys, s.config.SigningKey = []string{keyFile}, keyFile
	s.config.AgentTypes, s.config.MaxStaleness = []string{"agent"}, 2*time.Second
	return s
}

// start starts it and returns the error.
func (s *restarting) start() error {
	s.t.Helper()
	server, err := app.NewAuthServer(s.t.Context(), s.config, slog.New(slog.NewTextHandler(&s.logged, nil)), time.Now)
	if err != nil {
		return err
	}
	s.server, s.stop = server, run(s.t, server)
	conn := dial(s.t, server.AuthAddr(), credentialsFrom(s.t, s.signer))
	s.checks, s.keys = authv1.NewCheckServiceClient(conn), authv1.NewKeyServiceClient(conn)
	return nil
}

func (s *restarting) create() *authv1.CreateKeyResponse {
	s.t.Helper()
	created, err := s.keys.CreateKey(s.t.Context(), &authv1.CreateKeyRequest{
		WorkspaceId: "acme", Key: &authv1.Key{Name: "k", Scopes: []string{"agent"}, AllAgents: true},
	})
	must(s.t, err)
	return created
}

func (s *restarting) check(k *authv1.CreateKeyResponse) *authv1.CheckResponse {
	s.t.Helper()
	answer, err := s.checks.Check(s.t.Context(), &authv1.CheckRequest{ApiKey: k.GetSecret(), AgentType: "agent"})
	must(s.t, err)
	return answer
}

func TestAuthServiceStartsWithoutPostgres(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t)
	s := newRestarting(t, postgres.URL("postgres"))
	must(t, s.start())
	kept, deleted := s.create(), s.create()
	token := s.check(kept).GetReportToken()
	must(t, s.stop())
	s.expectNoSecretIn(kept.GetSecret())

	must(t, postgres.Down(pgserver.Immediate))
	must(t, s.start())
	for _, k := range []*authv1.CreateKeyResponse{kept, deleted} {
		if answer := s.check(k); !answer.GetAllowed() || answer.GetKeyName() != "k" {
			t.Errorf("from the snapshot: %v", answer)
		}
	}
	report := &authv1.ReportRequest{Outcomes: []*authv1.Outcome{{ReportToken: token, Status: 200, LatencyMs: new(float64(3))}}}
	if answer, err := s.checks.Report(t.Context(), report); err != nil || len(answer.GetRefused()) > 0 {
		t.Errorf("a report of a check before the restart: %v %v", answer, err)
	}
	expectReady(t, s.server, 503, "the keyring last knew every key")
	_, err := s.keys.DeleteKey(t.Context(), &authv1.DeleteKeyRequest{WorkspaceId: "acme", KeyId: deleted.GetKey().GetId()})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a change without Postgres: %v", err)
	}

	must(t, postgres.Up(t.Context()))
	expectReady(t, s.server, 200, "")
	_, err = s.keys.DeleteKey(t.Context(), &authv1.DeleteKeyRequest{WorkspaceId: "acme", KeyId: deleted.GetKey().GetId()})
	must(t, err)
	if s.check(deleted).GetAllowed() || !s.check(kept).GetAllowed() || !s.check(s.create()).GetAllowed() {
		t.Error("the keyring does not follow Postgres again")
	}
}

// expectNoSecretIn expects the snapshot to be private and to contain neither a secret nor a part of it.
func (s *restarting) expectNoSecretIn(secret string) {
	s.t.Helper()
	path := s.snapshot()
	info, err := os.Stat(path)
	must(s.t, err)
	text, err := os.ReadFile(path)
	must(s.t, err)
	if info.Mode() != 0o600 || bytes.Contains(text, []byte(secret[9:20])) {
		s.t.Errorf("the snapshot has the mode %v, or a secret", info.Mode())
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*"))
	must(s.t, err)
	if len(files) > 0 {
		s.t.Errorf("left: %q", files)
	}
}

func (s *restarting) snapshot() string { return filepath.Join(s.config.TrailDir, "keyring.snapshot") }

func TestSnapshotThatIsNotOfThisKeyringIsIgnored(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t)
	s := newRestarting(t, postgres.URL("postgres"))
	must(t, s.start())
	s.create()
	must(t, s.stop())
	must(t, postgres.Down(pgserver.Immediate))
	good, err := os.ReadFile(s.snapshot())
	must(t, err)
	damaged := bytes.Clone(good)
	damaged[len(damaged)/2] ^= 1
	for name, c := range map[string]struct {
		content []byte
		url     string
		says    string
	}{
		"damaged":          {damaged, s.config.DatabaseURL, "checksum is wrong"},
		"cut off":          {good[:len(good)-7], s.config.DatabaseURL, "checksum is wrong"},
		"almost nothing":   {good[:25], s.config.DatabaseURL, "checksum is wrong"},
		"empty":            {nil, s.config.DatabaseURL, "format of another release"},
		"format":           {append([]byte("keytrail keyring 0\n"), good[19:]...), s.config.DatabaseURL, "format of another release"},
		"another database": {good, postgres.URL("template1"), "of another database"},
	} {
		must(t, os.WriteFile(s.snapshot(), c.content, 0o600))
		s.config.DatabaseURL = c.url
		s.logged.Reset()
		if err := s.start(); err == nil || !strings.Contains(s.logged.String(), c.says) {
			t.Errorf("%s: error %v, logged %s", name, err, s.logged.String())
		}
	}
	must(t, os.Remove(s.snapshot()))
	if err := s.start(); err == nil {
		t.Error("it starts without Postgres and without a snapshot")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
