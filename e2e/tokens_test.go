package e2e

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
)

// anyToken is how every token begins.
const anyToken = "eyJ"

// tokenPattern finds tokens among bytes that may be anything.
var tokenPattern = regexp.MustCompile(anyToken + `[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}\.`)

// validFor is for how long the tokens of tests hold, half of it past: clocks of tests are set, by a month and more.
const validFor = 100 * 24 * time.Hour

// readSigner reads the key that `keytrail serve` has made.
func readSigner(t *testing.T, dataDir string) *access.Signer {
	t.Helper()
	signer, err := access.ReadSigner(filepath.Join(dataDir, "signing-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// newSigner makes a key in a file.
func newSigner(t *testing.T) (signer *access.Signer, file string) {
	t.Helper()
	signer, err := access.NewSigner()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "key.pem")
	if err := signer.Save(file); err != nil {
		t.Fatal(err)
	}
	return signer, file
}

// tokenFile makes a file with a token.
func tokenFile(t *testing.T, token string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// token makes a token that holds now.
func token(t *testing.T, signer *access.Signer, role access.Role, workspaces ...string) string {
	t.Helper()
	made, err := signer.Token(access.Grant{Role: role, Workspaces: workspaces, From: time.Now().Add(-validFor / 2), TTL: validFor})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// tokenKeys returns the files with the keys of the system's tokens.
func (s *system) tokenKeys() []string {
	return []string{cmp.Or(s.keyFile, filepath.Join(s.dataDir, "signing-key.pem"))}
}

func (s *system) token(role access.Role, workspaces ...string) string {
	s.t.Helper()
	return token(s.t, s.signer, role, workspaces...)
}

// send sends a request of REST with a token.
func send(t *testing.T, method, url, token string, body io.Reader) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := doREST(t, http.DefaultClient, req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// roleOfPath is a role that may do what a path of REST does.
func roleOfPath(path string) access.Role {
	if path == "/v1/check" || path == "/v1/report" {
		return access.Checker
	}
	return access.Admin
}

// callers are the credentials of those who use the system: the backends, the auth service, and an admin for the rest.
// They are of some workspaces; none named = all.
func (s *system) callers(workspaces ...string) grpc.DialOption {
	s.t.Helper()
	return callersWith(s.t, s.signer, workspaces...)
}

// callersWith are callers with tokens of a key.
func callersWith(t *testing.T, signer *access.Signer, workspaces ...string) grpc.DialOption {
	t.Helper()
	if len(workspaces) == 0 {
		workspaces = []string{access.AllWorkspaces}
	}
	all := callers{}
	for _, role := range access.Roles {
		all[role] = access.NewToken(token(t, signer, role, workspaces...))
	}
	return grpc.WithPerRPCCredentials(all)
}

type callers map[access.Role]access.Token

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (c callers) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	call, _ := credentials.RequestInfoFromContext(ctx)
	role := access.Admin
	switch {
	case strings.HasPrefix(call.Method, "/"+authv1.CheckService_ServiceDesc.ServiceName+"/"):
		role = access.Checker
	case call.Method == logsv1.LogService_RecordRequestLogs_FullMethodName:
		role = access.Ingester
	}
	return c[role].GetRequestMetadata(ctx, uri...)
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (callers) RequireTransportSecurity() bool { return false }
