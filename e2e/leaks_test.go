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

// databasePassword is in the URL of every database. The private Postgres trusts whoever reaches it.
const databasePassword = "correct-horse-battery"

// leakRetention is how long rows are kept: shorter than a call can be reported.
const leakRetention = time.Hour

// leakStand is a stand that is to keep its secrets.
type leakStand struct {
	*stand
	*witness
	t       *testing.T
	daemons []*daemon
	rest    string
	// dirs are where the processes write.
	dirs    []string
	keyFile string
}

func TestNothingSecretIsEverShown(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(*testing.T) *leakStand{"serve": embeddedLeaks, "split": splitLeaks} {
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
			s.begin()
			s.use()
			s.outage()
			s.stumble()
			s.end()
		})
	}
}

func embeddedLeaks(t *testing.T) *leakStand {
	s := embeddedStand(t)
	dir, rest := filepath.Dir(s.trailDir), stableAddr(t)
	s.auth.command = append(s.auth.command, "--gateway-addr", rest)
	return &leakStand{
		stand: s, witness: newWitness(t), t: t, daemons: []*daemon{s.auth}, dirs: []string{dir}, rest: rest,
		keyFile: filepath.Join(dir, "signing-key.pem"),
	}
}

func splitLeaks(t *testing.T) *leakStand {
	s := splitStand(t)
	l := &leakStand{stand: s, witness: newWitness(t), t: t, dirs: []string{s.trailDir}, rest: stableAddr(t)}
	logsAddr := ""
	for i, arg := range s.auth.command {
		switch arg {
		case "--logs-addr":
			logsAddr = s.auth.command[i+1]
		case "--signing-key":
			l.keyFile = s.auth.command[i+1]
		}
	}
	gateway := newDaemon(t, "gateway", stableAddr(t), "--gateway-addr", l.rest, "--auth-addr", s.authAddr, "--logs-addr", logsAddr, "--token-keys", l.keyFile)
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

// begin waits for the processes, and tells the witness of the keys and tokens that there are from the beginning.
func (s *leakStand) begin() {
	s.t.Helper()
	for _, d := range s.daemons {
		d.awaitReady()
	}
	s.never["the password of the database"] = []byte(databasePassword)
	text, err := os.ReadFile(s.keyFile)
	if err != nil {
		s.t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	forms(s.never, "the key that signs tokens", block.Bytes[len(block.Bytes)-32:])
	forms(s.stored, "the key of report tokens", s.tokenKey())
}

// tokenKey reads the key of report tokens.
func (s *leakStand) tokenKey() []byte {
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

// outage keeps rows on the trail: the log service is away, then the database, then everything is killed.
func (s *leakStand) outage() {
	s.t.Helper()
	awaitShipped(s.t, s.auth.ops)
	k := s.createKey("outage")
	s.secret("outage", k.GetSecret())
	if s.postgres != nil {
		s.logs.down()
		if err := s.postgres.Down(pgserver.Immediate); err != nil {
			s.t.Fatal(err)
		}
		_, err := s.keys.ListKeys(s.t.Context(), &authv1.ListKeysRequest{WorkspaceId: "acme"})
		s.refused("without a database", err)
		s.lookAtOps(s.auth)
	}
	for place, call := range oddPlaces(k.GetSecret()) {
		answer, err := s.checks.Check(s.t.Context(), call)
		s.refused("outage "+place, err)
		s.see("gRPC answer", place, []byte(answer.String()))
	}
	s.files(s.dirs[0]) // rows wait
	s.auth.down()
	s.files(s.dirs[0])
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

// stumble starts processes that cannot, and commands that fail.
func (s *leakStand) stumble() {
	s.t.Helper()
	bad := s.token("bad", "eyJhbGciOiJFZERTQSJ9.eyJzb21lIjoidGhpbmcifQ.c2lnbmF0dXJlLXRoYXQtaXMtbm9uZQ")
	secret := authsvc.NewSecret().Reveal()
	s.secret("on a command line", secret)
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
		s.see("command", line[0], out)
	}
}

func (s *leakStand) lookAtOps(d *daemon) {
	s.t.Helper()
	for _, path := range []string{"/metrics", "/readyz", "/healthz"} {
		req, err := http.NewRequestWithContext(s.t.Context(), "GET", "http://"+d.ops+path, nil)
		if err != nil {
			s.t.Fatal(err)
		}
		s.http("ops", req)
	}
}

// end looks at everything once more: while it runs, and what it leaves.
func (s *leakStand) end() {
	s.t.Helper()
	for _, d := range s.daemons {
		s.lookAtOps(d)
	}
	for _, row := range s.rows() {
		s.see("row", row.GetId(), []byte(row.String()))
	}
	admin := s.mint("the last", s.signer, access.Grant{Role: access.Admin, Workspaces: []string{access.AllWorkspaces}, From: time.Now(), TTL: time.Hour})
	for _, path := range []string{"/v1/workspaces/acme/request-logs?page_size=1000", "/v1/workspaces/acme/keys"} {
		if code, _ := s.http("REST answer", s.request("GET", path, "", "Authorization", "Bearer "+admin)); code != http.StatusOK {
			s.t.Errorf("%s: %d", path, code)
		}
	}
	if s.postgres != nil {
		s.database(s.t.Context(), s.postgres.URL("postgres"))
	}
	for _, d := range s.daemons {
		d.down()
		s.see("log", d.name, []byte(d.printed.String()))
	}
	for _, dir := range s.dirs {
		s.files(dir)
	}
	s.expectLooked("log", "file", "store", "row", "gRPC answer", "REST answer", "ops", "command")
	for _, code := range []codes.Code{codes.InvalidArgument, codes.NotFound, codes.Unauthenticated, codes.PermissionDenied} {
		if s.errors[code] == 0 {
			s.t.Errorf("nothing was refused with %v", code)
		}
	}
}
