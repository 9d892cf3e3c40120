package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

// keytrail runs a command line without environment variables.
func keytrail(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	for _, setting := range os.Environ() {
		if name, value, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "KEYTRAIL_") {
			t.Setenv(name, value) // restored after the test
			os.Unsetenv(name)
		}
	}
	// If an invalid flag of serve were accepted, the server would start: in a temporary folder, and not forever.
	t.Setenv("KEYTRAIL_DATA_DIR", t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, err bytes.Buffer
	code = Main(ctx, args, &out, &err)
	return code, out.String(), err.String()
}

func TestExitCodesAndErrors(t *testing.T) {
	// No process listens on port 1.
	const unreachable = "127.0.0.1:1"
	for name, tt := range map[string]struct {
		args   []string
		code   int
		stderr string
	}{
		"no command":           {nil, 2, "keytrail --help"},
		"an unknown command":   {[]string{"fly"}, 2, "fly"},
		"an unknown flag":      {[]string{"version", "--loud"}, 2, "--loud"},
		"a flag left out":      {[]string{"keys", "list"}, 2, "--workspace"},
		"an argument left out": {[]string{"keys", "get", "-w", "acme"}, 2, "<id>"},
		"an invalid choice":    {[]string{"logs", "list", "-w", "acme", "--status-class", "3xx"}, 2, "--status-class"},
		"an invalid output":    {[]string{"logs", "list", "-w", "acme", "-o", "yaml"}, 2, "--output"},
		"purge without --yes":  {[]string{"logs", "purge", "-w", "acme"}, 2, "--yes"},
		"two agent accesses": {[]string{"keys", "create", "-w", "acme", "--name", "n", "--scope", "agent", "--all-agents", "--agent", "a"},
			2, "--all-agents"},
		"two expiries":        {[]string{"keys", "update", "-w", "acme", "k", "--never-expire", "--expires-in", "1h"}, 2, "--never-expire"},
		"nothing to update":   {[]string{"keys", "update", "-w", "acme", "k"}, 1, "nothing to change"},
		"a short retention":   {[]string{"serve", "--retention", "59m"}, 2, "--retention: must be at least 1h, got 59m0s"},
		"a short one to copy": {[]string{"migrate", "--from", ".", "--to", "postgres://127.0.0.1:1/x", "--retention", "59m"}, 2, "--retention: must be at least 1h, got 59m0s"},
		"nothing to copy":     {[]string{"migrate", "--from", "nowhere", "--to", "postgres://127.0.0.1:1/x"}, 1, "does not exist: is "},
		"no source":           {[]string{"migrate", "--to", "postgres://127.0.0.1:1/x"}, 2, "--from"},
		"no unproved rows":    {[]string{"serve", "--stranger-rows-per-second", "0"}, 2, "--stranger-rows-per-second: must be 1 to 1000000, got 0"},
		"no rows on Postgres": {[]string{"authsvc", "--database-url", "postgres://127.0.0.1:1/x", "--stranger-rows-per-second=-1"},
			2, "--stranger-rows-per-second: must be 1 to 1000000, got -1"},
		"no keys": {[]string{"serve", "--max-keys-per-workspace", "0"}, 2, "--max-keys-per-workspace: must be at least 1, got 0"},
		"no bytes of keys": {[]string{"authsvc", "--database-url", "postgres://127.0.0.1:1/x", "--max-key-bytes-per-workspace=-1"},
			2, "--max-key-bytes-per-workspace: must be at least 1, got -1"},
		"an origin with a path":  {[]string{"serve", "--cors-origins", "https://a.com/x"}, 2, "--cors-origins: \"https://a.com/x\" must be scheme://host"},
		"every origin":           {[]string{"serve", "--cors-origins", "https://a.com,*"}, 2, "--cors-origins: \"*\""},
		"a bad agent type":       {[]string{"serve", "--agent-types", "agent,Robot"}, 2, `--agent-types: "Robot"`},
		"a bad agent path":       {[]string{"serve", "--agent-paths", "/v1/bots/{agent_id}"}, 2, `--agent-paths: "/v1/bots/{agent_id}": must have either`},
		"one at the gateway":     {[]string{"gateway", "--token-keys", "k", "--agent-paths", "x"}, 2, `--agent-paths: "x"`},
		"one at authsvc":         {[]string{"authsvc", "--database-url", "postgres://127.0.0.1:1/x", "--agent-paths", "x"}, 2, `--agent-paths: "x"`},
		"checkers without mTLS":  {[]string{"serve", "--tls-checkers", "envoy.example.com"}, 2, "--tls-checkers: needs --tls-client-ca"},
		"the same at authsvc":    {[]string{"authsvc", "--database-url", "postgres://127.0.0.1:1/x", "--tls-checkers", "x"}, 2, "--tls-checkers: needs --tls-client-ca"},
		"a checker without name": {[]string{"serve", "--tls-client-ca", "ca", "--tls-checkers", "a,,b"}, 2, "--tls-checkers: a name must not be empty"},
		"a bad log level":        {[]string{"serve", "--log-level", "loud"}, 2, "--log-level"},
		"an unreadable time":     {[]string{"logs", "list", "-w", "acme", "--since", "noon"}, 1, "--since: \"noon\""},
		"a limit below 0":        {[]string{"logs", "list", "-w", "acme", "--limit=-1"}, 1, "--limit"},
		"an unreachable service": {[]string{"keys", "list", "-w", "acme", "--auth-addr", unreachable}, 1, "cannot reach the service at " + unreachable},
		"unreachable logs":       {[]string{"logs", "list", "-w", "acme", "--logs-addr", unreachable}, 1, "keytrail serve"},
		"an unreachable check":   {[]string{"check", "--auth-addr", unreachable}, 1, unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := keytrail(t, tt.args...)
			if code != tt.code || !strings.Contains(stderr, tt.stderr) || stdout != "" {
				t.Errorf("keytrail %s: exit code %d, out %q, err %q; want %d and %q", tt.args, code, stdout, stderr, tt.code, tt.stderr)
			}
		})
	}
}

func TestHelpAndVersionGoToTheStandardOutput(t *testing.T) {
	for arg, want := range map[string]string{"--help": "serve", "version": "keytrail "} {
		code, stdout, stderr := keytrail(t, arg)
		if code != 0 || !strings.Contains(stdout, want) || stderr != "" {
			t.Errorf("keytrail %s: exit code %d, out %q, err %q", arg, code, stdout, stderr)
		}
	}
}

func TestExitCodeOfAnError(t *testing.T) {
	for name, tt := range map[string]struct {
		err    error
		code   int
		stderr string
	}{
		"none":             {nil, 0, ""},
		"a denial":         {exitError{code: exitDenied}, 3, ""},
		"a denial within":  {fmt.Errorf("check: %w", exitError{code: exitDenied}), 3, ""},
		"any other":        {errors.New("disk full"), 1, "keytrail: disk full\n"},
		"a cancelled call": {callError{addr: "a:1", cause: context.Canceled}, 1, "keytrail: context canceled\n"},
	} {
		var stderr bytes.Buffer
		if code := exitCode(tt.err, &stderr); code != tt.code || stderr.String() != tt.stderr {
			t.Errorf("%s: exit code %d, %q; want %d, %q", name, code, stderr.String(), tt.code, tt.stderr)
		}
	}
}

func TestFlagsHaveEnvironmentVariables(t *testing.T) {
	t.Setenv("KEYTRAIL_RETENTION", "1m")
	var out, err bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	code := Main(ctx, []string{"serve", "--data-dir", t.TempDir()}, &out, &err)
	if code != 2 || !strings.Contains(err.String(), "--retention") {
		t.Errorf("KEYTRAIL_RETENTION=1m: exit code %d, %q", code, err.String())
	}
}

func TestOnlySettingsHaveEnvironmentVariables(t *testing.T) {
	parser, err := newParser(t.Context(), io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{
		"auth-addr": true, "ops-addr": true, "logs-addr": true, "workspace": true, "output": true, "api-key": true, "log-format": true, "log-level": true,
	}
	want["token"], want["token-file"], want["data-dir"], want["signing-key"] = true, true, true, true
	// The workspaces of a new token are not a setting.
	noSetting := map[string]bool{"keytrail token create workspace": true}
	// These are settings of the services, which other commands share.
	shared := map[string]bool{"keytrail migrate to": true, "keytrail migrate retention": true, "keytrail logs verify database-url": true}
	shared["keytrail logs expire database-url"], shared["keytrail logs expire retention"] = true, true
	for _, name := range []string{"tls", "tls-ca", "tls-client-cert", "tls-client-key", "insecure"} {
		want[name] = true
	}
	services := map[string]bool{"serve": true, "authsvc": true, "logsvc": true, "gateway": true, "report-access-log": true}
	for _, leaf := range parser.Model.Leaves(false) {
		for _, group := range leaf.AllFlags(false) {
			for _, flag := range group {
				name := leaf.FullPath() + " " + flag.Name
				if expected := want[flag.Name] && !noSetting[name] || shared[name] || services[leaf.Name]; flag.Name != "help" && expected != (len(flag.Envs) > 0) {
					t.Errorf("%s --%s has the variables %q", leaf.FullPath(), flag.Name, flag.Envs)
				}
			}
		}
	}
}

func TestNoVariableConfirmsAPurge(t *testing.T) {
	for name, value := range map[string]string{"KEYTRAIL_YES": "true", "KEYTRAIL_WORKSPACE": "acme"} {
		t.Setenv(name, value)
	}
	var out, stderr bytes.Buffer
	if code := Main(t.Context(), []string{"logs", "purge", "--logs-addr", "127.0.0.1:1"}, &out, &stderr); code != 2 || !strings.Contains(stderr.String(), "--yes") {
		t.Errorf("a purge with KEYTRAIL_YES: exit code %d, %q", code, stderr.String())
	}
}

func TestCommasDoNotSplitAgentsAndScopes(t *testing.T) {
	var request *authv1.CreateKeyRequest
	server := grpc.NewServer()
	authv1.RegisterKeyServiceServer(server, &keyService{created: func(r *authv1.CreateKeyRequest) { request = r }})
	addr := serveGRPC(t, server)
	code, _, stderr := keytrail(t, "keys", "create", "-w", "acme", "--name", "n", "--scope", "a,b", "--agent", "x,y", "--agent", "z",
		"--auth-addr", addr)
	if code != 0 || !slices.Equal(request.GetKey().GetScopes(), []string{"a,b"}) || !slices.Equal(request.GetKey().GetAgentIds(), []string{"x,y", "z"}) {
		t.Errorf("exit code %d, %q, the request %v", code, stderr, request)
	}
}

// serveGRPC serves until the test ends, and returns the address.
func serveGRPC(t *testing.T, server *grpc.Server) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

// keyService records requests to create a key.
type keyService struct {
	authv1.UnimplementedKeyServiceServer
	created func(*authv1.CreateKeyRequest)
}

func (s *keyService) CreateKey(_ context.Context, req *authv1.CreateKeyRequest) (*authv1.CreateKeyResponse, error) {
	s.created(req)
	return &authv1.CreateKeyResponse{Key: &authv1.Key{}}, nil
}
