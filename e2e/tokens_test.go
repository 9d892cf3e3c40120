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

// tokenPrefix is the start of every token.
const tokenPrefix = "eyJ"

// tokenPattern finds tokens in binary data.
var tokenPattern = regexp.MustCompile(tokenPrefix + `[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}\.`)

// tokenTTL is the validity of tokens, half of it in the past: tests shift clocks by a month.
const tokenTTL = 100 * 24 * time.Hour

// readSigner returns the signer of a `keytrail serve` data folder.
func readSigner(t testing.TB, dataDir string) *access.Signer {
	t.Helper()
	signer, err := access.ReadSigner(filepath.Join(dataDir, "signing-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// newSigner returns a new signer and the file with its key.
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

// tokenFile writes a token to a file and returns its path.
func tokenFile(t *testing.T, token string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// token returns a token that is valid now.
func token(t testing.TB, signer *access.Signer, role access.Role, workspaces ...string) string {
	t.Helper()
	created, err := signer.Token(access.Grant{Role: role, Workspaces: workspaces, From: time.Now().Add(-tokenTTL / 2), TTL: tokenTTL})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

// tokenKeys returns the files with the keys of the system's tokens.
func (s *system) tokenKeys() []string {
	return []string{cmp.Or(s.keyFile, filepath.Join(s.dataDir, "signing-key.pem"))}
}

func (s *system) token(role access.Role, workspaces ...string) string {
	s.t.Helper()
	return token(s.t, s.signer, role, workspaces...)
}

// send sends a REST request with a token.
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

// roleOfPath returns a role that may call a REST path.
func roleOfPath(path string) access.Role {
	if path == "/v1/check" || path == "/v1/report" {
		return access.Checker
	}
	return access.Admin
}

// credentials returns call credentials that send the token of a role that may call the RPC. No workspace means all.
func (s *system) credentials(workspaces ...string) grpc.DialOption {
	s.t.Helper()
	return credentialsFrom(s.t, s.signer, workspaces...)
}

// credentialsFrom is credentials with tokens of a given signer.
func credentialsFrom(t *testing.T, signer *access.Signer, workspaces ...string) grpc.DialOption {
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
	case strings.HasPrefix(call.Method, "/"+authv1.CheckService_ServiceDesc.ServiceName+"/"), strings.HasPrefix(call.Method, "/envoy."):
		role = access.Checker
	case call.Method == logsv1.LogService_RecordRequestLogs_FullMethodName:
		role = access.Ingester
	}
	return c[role].GetRequestMetadata(ctx, uri...)
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (callers) RequireTransportSecurity() bool { return false }
