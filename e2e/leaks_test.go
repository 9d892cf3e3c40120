package e2e

import (
	"encoding/pem"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/keytrail/keytrail/authsvc"
	authpostgres "github.com/keytrail/keytrail/authsvc/postgres"
	authsqlite "github.com/keytrail/keytrail/authsvc/sqlite"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/testing/pgserver"
)

// databasePassword is in every database URL. The private Postgres accepts any password.
const databasePassword = "correct-horse-battery"

// leakRetention is shorter than the time in which a call can be reported.
const leakRetention = time.Hour

// leakTest is a cluster with a scanner for secrets in its output.
type leakTest struct {
	*cluster
	*leakScanner
	t       *testing.T
	daemons []*daemon
	rest    string
	// dirs are the folders that the processes write to.
	dirs []string
}

func TestSecretsDoNotLeak(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(*testing.T) *leakTest{"serve": newEmbeddedLeakTest, "split": newLeakTest} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := make(t)
			s.logs.command = append(s.logs.command, "--retention="+leakRetention.String())
			for _, d := range s.daemons {
				d.command = append(d.command, "--log-level=debug")
				if err := d.up(); err != nil {
					t.Fatal(err)
				}
			}
			s.prepare()
			s.use()
			s.outage()
			s.runFailingCommands()
			s.scanAll()
		})
	}
}

func newEmbeddedLeakTest(t *testing.T) *leakTest {
	s := newEmbeddedCluster(t)
	dir, rest := filepath.Dir(s.trailDir), stableAddr(t)
	s.auth.command = append(s.auth.command, "--gateway-addr", rest)
	return &leakTest{cluster: s, leakScanner: newLeakScanner(t), t: t, daemons: []*daemon{s.auth}, dirs: []string{dir}, rest: rest}
}

func newLeakTest(t *testing.T) *leakTest {
	s := newCluster(t)
	l := &leakTest{cluster: s, leakScanner: newLeakScanner(t), t: t, dirs: []string{s.trailDir}, rest: stableAddr(t)}
	gateway := newDaemon(t, "gateway", stableAddr(t), "--gateway-addr", l.rest, "--auth-addr", s.authAddr, "--logs-addr", s.logsAddr, "--token-keys", s.keyFile)
	l.daemons = []*daemon{s.logs, s.auth, gateway}
	for _, d := range l.daemons {
		for i := range d.command {
			d.command[i] = withPassword(d.command[i])
		}
	}
	return l
}

func withPassword(url string) string {
	return strings.Replace(url, "postgres://postgres@", "postgres://postgres:"+databasePassword+"@", 1)
}

// prepare waits for the processes and adds the existing keys and passwords to the scanner.
func (s *leakTest) prepare() {
	s.t.Helper()
	for _, d := range s.daemons {
		d.awaitReady()
	}
	s.never["the database password"] = []byte(databasePassword)
	text, err := os.ReadFile(s.keyFile)
	if err != nil {
		s.t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	addEncodings(s.never, "the key that signs tokens", block.Bytes[len(block.Bytes)-32:])
	addEncodings(s.stored, "the key of report tokens", s.tokenKey())
}

// tokenKey returns the key of report tokens.
func (s *leakTest) tokenKey() []byte {
	s.t.Helper()
	var store interface {
		authsvc.Store
		Close() error
	}
	var err error
	if s.postgres != nil {
		store, err = authpostgres.Open(s.t.Context(), s.postgres.URL("postgres"))
	} else {
		store, err = authsqlite.Open(s.t.Context(), filepath.Join(s.dirs[0], "auth.db"))
	}
	if err != nil {
		s.t.Fatal(err)
	}
	defer store.Close()
	key, err := store.TokenKey(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return key
}

// outage keeps rows on the trail: it stops the log service and the database, then kills the auth service.
func (s *leakTest) outage() {
	s.t.Helper()
	awaitShipped(s.t, s.auth.ops)
	k := s.createKey("outage")
	s.addSecret("outage", k.GetSecret())
	if s.postgres != nil {
		s.logs.down()
		if err := s.postgres.Down(pgserver.Immediate); err != nil {
			s.t.Fatal(err)
		}
		_, err := s.keys.ListKeys(s.t.Context(), &authv1.ListKeysRequest{WorkspaceId: "acme"})
		s.scanError("without a database", err)
		s.scanOps(s.auth)
	}
	for place, call := range secretPlacements(k.GetSecret()) {
		answer, err := s.checks.Check(s.t.Context(), call)
		s.scanError("outage "+place, err)
		s.scan("gRPC response", place, []byte(answer.String()))
	}
	s.scanFiles(s.dirs[0]) // with unshipped rows
	s.auth.down()
	s.scanFiles(s.dirs[0])
	if s.postgres != nil {
		if err := s.postgres.Up(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
	}
	s.logs.up()
	s.auth.up()
	s.logs.awaitReady()
	s.auth.awaitReady()
	awaitShipped(s.t, s.auth.ops)
}

// runFailingCommands runs commands that fail and scans their output.
func (s *leakTest) runFailingCommands() {
	s.t.Helper()
	bad := s.addToken("bad", "eyJhbGciOiJFZERTQSJ9.eyJzb21lIjoidGhpbmcifQ.c2lnbmF0dXJlLXRoYXQtaXMtbm9uZQ")
	secret := authsvc.NewSecret().Reveal()
	s.addSecret("on a command line", secret)
	lines := [][]string{
		{"keys", "list", "-w", "acme", "--auth-addr", s.authAddr, "--token", bad},
		{"check", "--api-key", secret, "--auth-addr", s.authAddr, "--token", bad, "--endpoint=/x"},
		{"check", "--api-key", secret, "--auth-addr", "127.0.0.1:1", "--token", bad},
		{"logsvc", "--database-url", "postgres://u:" + databasePassword + "@/d", "--token-keys", "/nowhere"},
	}
	for _, url := range []string{"@127.0.0.1:1/d", "@h:port/d", "@/d?host=/nowhere&sslmode=loud", "@%zz/d", "@h/d?pool_max_conns=many", "@[::1/d"} {
		url = "postgres://u:" + databasePassword + url
		lines = append(lines,
			[]string{"authsvc", "--database-url", url, "--token-keys", s.keyFile, "--signing-key", s.keyFile, "--trail-dir", s.t.TempDir(), "--auth-addr", anyPort, "--ops-addr", anyPort},
			[]string{"logsvc", "--database-url", url, "--token-keys", s.keyFile, "--logs-addr", anyPort, "--ops-addr", anyPort},
			[]string{"migrate", "--from", s.t.TempDir(), "--to", url})
	}
	lines = append(lines, []string{"migrate", "--from", s.t.TempDir(), "--to", "user=u password=" + databasePassword + " port=x"})
	for _, line := range lines {
		out, err := exec.CommandContext(s.t.Context(), binary(s.t), line...).CombinedOutput()
		if err == nil {
			s.t.Errorf("%v does not fail", line[0])
		}
		s.scan("command", line[0], out)
	}
}

func (s *leakTest) scanOps(d *daemon) {
	s.t.Helper()
	for _, path := range []string{"/metrics", "/readyz", "/healthz"} {
		req, err := http.NewRequestWithContext(s.t.Context(), "GET", "http://"+d.ops+path, nil)
		if err != nil {
			s.t.Fatal(err)
		}
		s.scanHTTP("ops", req)
	}
}

// scanAll scans the running processes, then their logs and files.
func (s *leakTest) scanAll() {
	s.t.Helper()
	for _, d := range s.daemons {
		s.scanOps(d)
	}
	for _, row := range s.rows() {
		s.scan("row", row.GetId(), []byte(row.String()))
	}
	admin := s.newToken("the last", s.signer, access.Grant{Role: access.Admin, Workspaces: []string{access.AllWorkspaces}, From: time.Now(), TTL: time.Hour})
	for _, path := range []string{"/v1/workspaces/acme/request-logs?page_size=1000", "/v1/workspaces/acme/keys"} {
		if code, _ := s.scanHTTP("REST response", s.request("GET", path, "", "Authorization", "Bearer "+admin)); code != http.StatusOK {
			s.t.Errorf("%s: %d", path, code)
		}
	}
	if s.postgres != nil {
		s.scanDatabase(s.t.Context(), s.postgres.URL("postgres"))
	}
	for _, d := range s.daemons {
		d.down()
		s.scan("log", d.name, []byte(d.printed.String()))
	}
	for _, dir := range s.dirs {
		s.scanFiles(dir)
	}
	s.expectScanned("log", "file", "store", "row", "gRPC response", "REST response", "ops", "command")
	for _, code := range []codes.Code{codes.InvalidArgument, codes.NotFound, codes.Unauthenticated, codes.PermissionDenied} {
		if s.errors[code] == 0 {
			s.t.Errorf("no call returned %v", code)
		}
	}
}
