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

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/keytrail/keytrail/authsvc"
	authpostgres "github.com/keytrail/keytrail/authsvc/postgres"
	authsqlite "github.com/keytrail/keytrail/authsvc/sqlite"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/pgserver"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// databasePassword is in the URL of every database. The private Postgres trusts whoever reaches it.
const databasePassword = "correct-horse-battery"

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
	gateway := newDaemon(t, "gateway", stableAddr(t), "--gateway-addr", l.rest, "--auth-addr", s.authAddr, "--logs-addr", logsAddr)
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
	forms(s.stored, "the key that signs entries", s.entryKey())
}

// entryKey reads the key that signs entries.
func (s *leakStand) entryKey() []byte {
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
	key, err := store.SigningKey(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return key
}

// mint makes a token that the witness knows.
func (s *leakStand) mint(name string, signer *access.Signer, grant access.Grant) string {
	s.t.Helper()
	text, err := signer.Token(grant)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.token(name, text)
}

// tokens are of every role, and of every way to be no good.
func (s *leakStand) tokens() map[string]string {
	s.t.Helper()
	stranger, _ := newSigner(s.t)
	made, now := map[string]string{}, time.Now()
	for _, role := range access.Roles {
		for _, workspaces := range [][]string{{"acme"}, {"globex", "initech"}, {access.AllWorkspaces}} {
			name := string(role) + " of " + workspaces[0]
			made[name] = s.mint(name, s.signer, access.Grant{Role: role, Workspaces: workspaces, From: now, TTL: time.Hour})
		}
	}
	grant := access.Grant{Role: access.Admin, Workspaces: []string{access.AllWorkspaces}, From: now.Add(-time.Hour), TTL: time.Minute}
	made["expired"] = s.mint("expired", s.signer, grant)
	grant.From, grant.TTL = now, time.Hour
	made["of another key"] = s.mint("of another key", stranger, grant)
	good := made["admin of *"]
	made["cut short"] = good[:len(good)-9]
	s.never["cut short"] = []byte(good[len(good)-40 : len(good)-9])
	made["with a secret"] = authsvc.NewSecret().Reveal()
	s.secret("a secret as a token", made["with a secret"])
	made["of a long tail"] = good + strings.Repeat("A", 9000)
	return made
}

// asToken is how one call carries a token.
func asToken(token string) grpc.CallOption { return grpc.PerRPCCredentials(access.NewToken(token)) }

// use makes every kind of call: with good and bad secrets, tokens and requests.
func (s *leakStand) use() {
	s.t.Helper()
	for name, secret := range s.manageKeys() {
		for place, call := range oddPlaces(secret) {
			answer, err := s.checks.Check(s.t.Context(), call)
			if err != nil {
				s.refused(name+" "+place, err)
				continue
			}
			s.see("gRPC answer", name+" "+place, []byte(answer.String()))
			_, err = s.checks.Report(s.t.Context(), &authv1.ReportRequest{Outcomes: []*authv1.Outcome{{Entry: answer.GetEntry(), Status: 200, LatencyMs: 1}}})
			s.refused(name+" reported", err)
		}
	}
	s.deadLetter()
	s.strangers()
}

// oddPlaces are calls with a secret in all places where one may be, and may not.
func oddPlaces(secret string) map[string]*authv1.CheckRequest {
	near := nearMiss(secret)
	return map[string]*authv1.CheckRequest{
		"as the key":        {ApiKey: secret, AgentType: "agent", AgentId: "a1", Method: "GET", Endpoint: "/v1/a1", WorkspaceId: "acme"},
		"without workspace": {ApiKey: secret, AgentType: "agent", AgentId: "a1"},
		"elsewhere":         {ApiKey: secret, AgentType: "agent", WorkspaceId: "globex"},
		"out of scope":      {ApiKey: secret, AgentType: "voice_agent", AgentId: "a1"},
		"a near miss":       {ApiKey: near, AgentType: "agent", WorkspaceId: "acme"},
		"with spaces":       {ApiKey: " " + secret + " ", AgentType: "agent", WorkspaceId: "acme"},
		"as a bearer":       {ApiKey: "Bearer " + secret, AgentType: "agent", WorkspaceId: "acme"},
		"in the query":      {ApiKey: secret, AgentType: "agent", Endpoint: "/v1?key=" + secret + "&near=" + near},
		"in the path":       {ApiKey: secret, AgentType: "agent", Endpoint: "/v1/" + secret + "/" + secret + "/x"},
		"as the agent":      {ApiKey: secret, AgentType: "agent", AgentId: secret},
		"as the method":     {ApiKey: secret, AgentType: "agent", Method: secret},
	}
}

// nearMiss changes one character.
func nearMiss(secret string) string {
	other := "x"
	if secret[20] == 'x' {
		other = "y"
	}
	return secret[:20] + other + secret[21:]
}

// manageKeys makes keys in every state, and answers their secrets.
func (s *leakStand) manageKeys() map[string]string {
	s.t.Helper()
	secrets := map[string]string{}
	know := func(name, secret string) {
		secrets[name] = secret
		s.secret(name, secret)
		s.secret("a near miss of "+name, nearMiss(secret))
	}
	keys := map[string]*authv1.CreateKeyResponse{}
	for _, name := range []string{"good", "disabled", "expired", "rotated", "deleted"} {
		keys[name] = s.createKey(name)
		know(name, keys[name].GetSecret())
	}
	know("of nobody", authsvc.NewSecret().Reveal())
	s.update(keys["disabled"], &authv1.Key{Disabled: true}, "disabled")
	s.update(keys["expired"], &authv1.Key{ExpireTime: timestamppb.New(time.Now().Add(-time.Hour))}, "expire_time")
	answer, err := s.keys.RotateKey(s.t.Context(), &authv1.RotateKeyRequest{
		WorkspaceId: "acme", KeyId: keys["rotated"].GetKey().GetId(), GracePeriod: durationpb.New(time.Minute),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	know("rotated in", answer.GetSecret())
	if _, err := s.keys.DeleteKey(s.t.Context(), &authv1.DeleteKeyRequest{WorkspaceId: "acme", KeyId: keys["deleted"].GetKey().GetId()}); err != nil {
		s.t.Fatal(err)
	}
	return secrets
}

// deadLetter reports a call that is too old to be stored.
func (s *leakStand) deadLetter() {
	s.t.Helper()
	checker := authsvc.NewChecker(authsvc.CheckerConfig{SigningKey: s.entryKey()})
	entry := authsvc.Entry{ID: uuid7.New(time.Now().Add(-90 * 24 * time.Hour)), WorkspaceID: "acme", KeyID: uuid.New(), KeyName: "old", KeyLast4: "abcd", AgentType: "agent"}
	row := entry.Proto()
	row.Proof = &logsv1.RequestLog_Signature{Signature: checker.Sign(entry)}
	if _, err := s.checks.Report(s.t.Context(), &authv1.ReportRequest{Outcomes: []*authv1.Outcome{{Entry: row, Status: 200}}}); err != nil {
		s.t.Fatal(err)
	}
	await(s.t, patience, func() bool {
		_, err := os.Stat(filepath.Join(s.trailDir, "dead-letters.ndjson"))
		return err == nil
	}, func() any { return "no dead letter" })
}

// strangers call with every token, in the right place and in wrong ones, over gRPC and REST.
func (s *leakStand) strangers() {
	s.t.Helper()
	for name, token := range s.tokens() {
		as := asToken(token)
		anyone := authv1.NewKeyServiceClient(dial(s.t, s.authAddr))
		_, err := anyone.ListKeys(s.t.Context(), &authv1.ListKeysRequest{WorkspaceId: "acme"}, as)
		s.refused(name, err)
		_, err = anyone.GetKey(s.t.Context(), &authv1.GetKeyRequest{WorkspaceId: "acme", KeyId: uuid.NewString()}, as)
		s.refused(name, err)
		_, err = anyone.CreateKey(s.t.Context(), &authv1.CreateKeyRequest{WorkspaceId: "acme"}, as)
		s.refused(name, err)
		for _, header := range []string{"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"} {
			ctx := metadata.AppendToOutgoingContext(s.t.Context(), header, token)
			_, err = anyone.ListKeys(ctx, &authv1.ListKeysRequest{WorkspaceId: "acme"})
			s.refused(name+" in "+header, err)
		}
		s.overREST(token)
	}
}

// overREST sends a token in right and wrong ways.
func (s *leakStand) overREST(token string) {
	s.t.Helper()
	for _, request := range [][3]string{
		{"GET", "/v1/workspaces/acme/keys", ""}, {"GET", "/v1/workspaces/acme/request-logs", ""}, {"GET", "/v1/workspaces/acme/nothing", ""},
		{"POST", "/v1/check", `{"agentType":`}, {"POST", "/v1/check", `{"agentType":"pilot"}`}, {"POST", "/v1/workspaces/acme/keys", `{"nam":"x"}`},
		{"DELETE", "/v1/check", ""}, {"POST", "/v1/report", `{}`}, {"GET", "/v1/workspaces/_unattributed/request-logs", ""},
		{"GET", "/v1/workspaces/acme/request-logs?api_key=" + token, ""}, {"GET", "/?access_token=" + token, ""},
	} {
		for _, header := range []string{"Authorization", "X-Authorization", "Grpc-Metadata-Authorization", "Api-Key", "Cookie"} {
			req, err := http.NewRequestWithContext(s.t.Context(), request[0], "http://"+s.rest+request[1], strings.NewReader(request[2]))
			if err != nil {
				s.t.Fatal(err)
			}
			req.Header.Set(header, "Bearer "+token)
			s.http("REST answer", req)
		}
	}
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
		req, err := http.NewRequestWithContext(s.t.Context(), "GET", "http://"+s.rest+path, nil)
		if err != nil {
			s.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+admin)
		if code, _ := s.http("REST answer", req); code != http.StatusOK {
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
