package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/keytrail/keytrail/app"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
)

func TestTokenCreateAndKeygen(t *testing.T) {
	server, dataDir := startServer(t)
	key, public := filepath.Join(t.TempDir(), "key.pem"), filepath.Join(t.TempDir(), "key.pub")
	if code, out, stderr := keytrail(t, "token", "keygen", "--out", key, "--public-out", public); code != 0 || out != "" || !strings.Contains(stderr, key) {
		t.Fatalf("keygen: exit code %d, out %q, err %q", code, out, stderr)
	}
	if info, err := os.Stat(key); err != nil || info.Mode() != 0o600 {
		t.Errorf("the key is %v, %v", info, err)
	}
	if code, _, stderr := keytrail(t, "token", "keygen", "--out", key); code != 1 || !strings.Contains(stderr, "exists") {
		t.Errorf("keygen over a key: exit code %d, err %q", code, stderr)
	}
	private, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(public); err != nil {
		t.Fatal(err)
	}
	// An interrupted run is completed, and complete files are kept.
	for range 2 {
		code, _, stderr := keytrail(t, "token", "keygen", "--out", key, "--public-out", public, "--if-missing")
		if again, err := os.ReadFile(key); code != 0 || err != nil || string(again) != string(private) {
			t.Errorf("keygen --if-missing: exit code %d, %q, %v", code, stderr, err)
		}
		if _, err := os.Stat(public); err != nil {
			t.Error(err)
		}
	}
	code, out, _ := keytrail(t, "token", "keygen", "--out", key+"2")
	if code != 0 || !strings.HasPrefix(out, "-----BEGIN PUBLIC KEY-----\n") {
		t.Errorf("keygen: exit code %d, out %q", code, out)
	}
	create := func(signingKey string, args ...string) string {
		t.Helper()
		code, out, stderr := keytrail(t, append([]string{"token", "create", "--signing-key", signingKey}, args...)...)
		if code != 0 || stderr != "" || strings.Count(out, "\n") != 1 || strings.Count(out, ".") != 2 {
			t.Fatalf("token create: exit code %d, out %q, err %q", code, out, stderr)
		}
		return strings.TrimSpace(out)
	}
	own := filepath.Join(dataDir, "signing-key.pem")
	if code, out, stderr := keytrail(t, "token", "create", "--data-dir", dataDir, "--role", "viewer", "-w", "acme"); code != 0 || strings.Count(out, ".") != 2 {
		t.Errorf("token create: exit code %d, out %q, err %q", code, out, stderr)
	}
	for _, tt := range []struct {
		token string
		code  int
		says  string
	}{
		{create(own, "--role", "viewer", "-w", "acme", "-w", "globex"), 0, "NAME"},
		{create(own, "--role", "admin", "-w", "*", "--ttl", "10m"), 0, "NAME"},
		{create(own, "--role", "viewer", "-w", "globex"), 1, `does not hold for the workspace "acme"`},
		{create(own, "--role", "checker", "-w", "*"), 1, `role "viewer"; this one has "checker"`},
		{create(key, "--role", "admin", "-w", "*"), 1, "KEYTRAIL_TOKEN"},
	} {
		args := []string{"keys", "list", "-w", "acme", "--auth-addr", server.AuthAddr(), "--token", tt.token}
		if code, out, stderr := keytrail(t, args...); code != tt.code || !strings.Contains(out+stderr, tt.says) || strings.Contains(out+stderr, tt.token) {
			t.Errorf("keys list: exit code %d, out %q, err %q; want %d and %q", code, out, stderr, tt.code, tt.says)
		}
	}
}

func TestKeygenRefusesFilesThatAreNoPair(t *testing.T) {
	dir := t.TempDir()
	key, public := filepath.Join(dir, "key.pem"), filepath.Join(dir, "key.pub")
	keygen := []string{"token", "keygen", "--out", key, "--public-out", public, "--if-missing"}
	if code, _, stderr := keytrail(t, keygen...); code != 0 {
		t.Fatalf("keygen: exit code %d, %q", code, stderr)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := keytrail(t, keygen...); code != 1 || !strings.Contains(stderr, "does not contain the public key of") {
		t.Errorf("keygen with the public key of another: exit code %d, %q", code, stderr)
	}
	// A file with several keys is used to rotate them.
	_, other, _ := keytrail(t, "token", "keygen", "--out", filepath.Join(dir, "other.pem"))
	if err := os.Remove(public); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := keytrail(t, keygen...); code != 0 {
		t.Fatalf("keygen: exit code %d, %q", code, stderr)
	}
	own, err := os.ReadFile(public)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(public, append([]byte(other), own...), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := keytrail(t, keygen...); code != 0 {
		t.Errorf("keygen with two public keys: exit code %d, %q", code, stderr)
	}
}

func TestInvalidTokensAreUsageErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		args   []string
		code   int
		stderr string
	}{
		"no role":            {[]string{"-w", "acme"}, 2, "--role"},
		"an unknown role":    {[]string{"-w", "acme", "--role", "root"}, 2, "--role"},
		"no workspace":       {[]string{"--role", "viewer"}, 2, "--workspace"},
		"a bad workspace":    {[]string{"--role", "viewer", "-w", "ACME"}, 2, `--workspace: "ACME"`},
		"two in one":         {[]string{"--role", "viewer", "-w", "acme,globex"}, 2, `"acme,globex"`},
		"the reserved one":   {[]string{"--role", "viewer", "-w", "_unattributed"}, 2, "_unattributed"},
		"* and another":      {[]string{"--role", "viewer", "-w", "*", "-w", "acme"}, 2, "'*'"},
		"a TTL of 0":         {[]string{"--role", "viewer", "-w", "acme", "--ttl", "0s"}, 2, "--ttl: must be 1s"},
		"a console's path":   {[]string{"--role", "viewer", "-w", "acme", "--console-url", "http://localhost:8080/x"}, 2, "--console-url: "},
		"a TTL too long":     {[]string{"--role", "viewer", "-w", "acme", "--ttl", "87600h"}, 2, "--ttl"},
		"a key that is none": {[]string{"--role", "viewer", "-w", "acme", "--signing-key", "/nowhere/key.pem"}, 1, "/nowhere/key.pem"},
	} {
		code, out, stderr := keytrail(t, append([]string{"token", "create"}, tt.args...)...)
		if code != tt.code || out != "" || !strings.Contains(stderr, tt.stderr) {
			t.Errorf("%s: exit code %d, out %q, err %q; want %d and %q", name, code, out, stderr, tt.code, tt.stderr)
		}
	}
}

func TestServicesRequireTokenFlags(t *testing.T) {
	const url = "postgres://127.0.0.1:1/none"
	for name, tt := range map[string]struct {
		args   []string
		stderr string
	}{
		"authsvc without keys":         {[]string{"authsvc", "--database-url", url, "--signing-key", "k"}, "--token-keys, --oidc-issuers"},
		"logsvc without keys":          {[]string{"logsvc", "--database-url", url}, "--token-keys, --oidc-issuers"},
		"authsvc without a token":      {[]string{"authsvc", "--database-url", url, "--token-keys", "k"}, "--logs-token-file, --signing-key"},
		"authsvc with both":            {[]string{"authsvc", "--database-url", url, "--token-keys", "k", "--signing-key", "k", "--logs-token-file", "t"}, "--logs-token-file"},
		"a console without an issuer":  {[]string{"serve", "--console-client-id", "console"}, "--console-client-id: needs --oidc-issuers"},
		"a gateway without an issuer":  {[]string{"gateway", "--token-keys", "k", "--console-client-id", "c"}, "--console-client-id: needs --oidc-issuers"},
		"a scope without openid":       {[]string{"serve", "--console-scope", "profile"}, "--console-scope: must have openid"},
		"an issuer in plaintext":       {[]string{"logsvc", "--database-url", url, "--oidc-issuers", "http://login.example.com"}, "--oidc-issuers: \"http://"},
		"an issuer of serve in plain":  {[]string{"serve", "--oidc-issuers", "http://login.example.com"}, "--oidc-issuers: \"http://"},
		"an issuer that is no address": {[]string{"serve", "--oidc-issuers", "login"}, "--oidc-issuers: \"login\""},
	} {
		if code, _, stderr := keytrail(t, tt.args...); code != 2 || !strings.Contains(stderr, tt.stderr) {
			t.Errorf("%s: exit code %d, err %q; want 2 and %q", name, code, stderr, tt.stderr)
		}
	}
	if code, _, stderr := keytrail(t, "logsvc", "--database-url", url, "--token-keys", "/nowhere/key.pem"); code != 1 || !strings.Contains(stderr, "--token-keys") {
		t.Errorf("a key that is not there: exit code %d, err %q", code, stderr)
	}
}

// A token of the local key permits everything here and must not be sent to another machine.
func TestLocalKeyIsForThisMachineOnly(t *testing.T) {
	dir := t.TempDir()
	if _, err := access.EnsureSigner(filepath.Join(dir, app.SigningKeyFile)); err != nil {
		t.Fatal(err)
	}
	for addr, local := range map[string]bool{
		"127.0.0.1:7001": true, "localhost:7001": true, "[::1]:7001": true, "127.8.8.8:1": true, "10.0.0.1:7001": false,
		"keytrail.example.com:7001": false, "localhost.evil.com:7001": false, "localhost": false, "": false, "unix:///tmp/x": false,
		"dns:///localhost:7001": false,
	} {
		options, err := tokenFlags{DataDir: dir}.dialOptions(addr)
		if err != nil || (len(options) == 1) != local {
			t.Errorf("%s: %d options, %v", addr, len(options), err)
		}
		if options, err := (tokenFlags{Token: "t", DataDir: dir}).dialOptions(addr); err != nil || len(options) != 1 {
			t.Errorf("%s: a token that was given is not sent: %v", addr, err)
		}
	}
	if options, err := (tokenFlags{DataDir: t.TempDir()}).dialOptions("127.0.0.1:7001"); err != nil || len(options) != 0 {
		t.Errorf("without a key: %d options, %v", len(options), err)
	}
}

func TestTokenFileReplacesATokenFromTheEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("of the file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KEYTRAIL_TOKEN", "of the variable")
	if sent := sentToken(t, "--token-file", file); sent != "Bearer of the file" {
		t.Errorf("sent %q", sent)
	}
}

func TestTokenFromTheEnvironmentIsSent(t *testing.T) {
	t.Setenv("KEYTRAIL_TOKEN", "mine")
	if sent := sentToken(t); sent != "Bearer mine" {
		t.Errorf("sent %q", sent)
	}
}

// sentToken returns the authorization header of a command that calls a service.
func sentToken(t *testing.T, flags ...string) string {
	t.Helper()
	var sent []string
	server := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, _ any, _ *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
		sent = metadata.ValueFromIncomingContext(ctx, "authorization")
		return &authv1.ListKeysResponse{}, nil
	}))
	authv1.RegisterKeyServiceServer(server, authv1.UnimplementedKeyServiceServer{})
	addr := serveGRPC(t, server)
	var out, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args := append([]string{"keys", "list", "-w", "acme", "--auth-addr", addr, "--data-dir", t.TempDir()}, flags...)
	if code := Main(ctx, args, &out, &stderr); code != 0 || len(sent) != 1 {
		t.Fatalf("exit code %d, %q, sent %q", code, stderr.String(), sent)
	}
	return sent[0]
}
