package cli

import (
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/grpcserver"
	"github.com/keytrail/keytrail/internal/testing/tlstest"
)

func TestCallErrorMessages(t *testing.T) {
	for want, cause := range map[string]error{
		"the trail is full":                           grpcserver.Status(fault.New(fault.TrailFull, "the trail is full")).Err(),
		"name: is too long":                           grpcserver.Status(fault.InvalidField("name", "is too long")).Err(),
		"it came late":                                grpcserver.Status(fault.New(fault.RequestLate, "it came late")).Err(),
		"no token (" + tokenHint + ")":                grpcserver.Status(fault.New(fault.TokenMissing, "no token")).Err(),
		"unknown method":                              status.Error(codes.Unimplemented, "unknown method"),
		"the service at here did not respond in time": status.Error(codes.DeadlineExceeded, "context deadline exceeded"),
		"cannot reach the service at here; is `keytrail serve` running there? (refused)": status.Error(codes.Unavailable, "refused"),
	} {
		if got := (callError{addr: "here", cause: cause}).Error(); got != want {
			t.Errorf("%v is %q, want %q", cause, got, want)
		}
	}
}

func TestErrorsNameTheTLSFlag(t *testing.T) {
	cert, key := tlstest.NewAuthority(t).Issue(t, "server").Write(t)
	none := filepath.Join(t.TempDir(), "none.pem")
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"a certificate alone":        {[]string{"serve", "--tls-cert", cert}, 2, "--tls-key"},
		"a key that is not there":    {[]string{"serve", "--tls-cert", cert, "--tls-key", none}, 1, "--tls-key: open " + none},
		"a key that is no file":      {[]string{"serve", "--tls-cert", cert, "--tls-key", t.TempDir()}, 1, "--tls-key: "},
		"a key that is none":         {[]string{"serve", "--tls-cert", cert, "--tls-key", cert}, 1, "--tls-key: "},
		"clients without TLS":        {[]string{"serve", "--tls-client-ca", cert}, 1, "--tls-client-ca: needs TLS"},
		"authorities that are none":  {[]string{"serve", "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", key}, 1, "--tls-client-ca: "},
		"plaintext for all":          {[]string{"serve", "--auth-addr", "127.0.0.1:0", "--logs-addr", "0.0.0.0:0"}, 1, "--logs-addr: 0.0.0.0:0"},
		"REST in plaintext":          {[]string{"gateway", "--oidc-issuers", "https://login.example.com", "--gateway-addr", ":0"}, 1, "--gateway-addr: :0"},
		"a part in plaintext":        {[]string{"gateway", "--oidc-issuers", "https://login.example.com", "--gateway-addr", "127.0.0.1:0", "--logs-addr", "logs:7002"}, 1, "--logs-addr: logs:7002"},
		"a database in plaintext":    {[]string{"logsvc", "--token-keys", "k", "--database-url", "postgres://u:hunter2@db:5432/x"}, 1, "--database-url: db may be"},
		"keys in plaintext":          {[]string{"authsvc", "--token-keys", "k", "--signing-key", "k", "--database-url", "postgres://u@db/x?sslmode=disable"}, 1, "--database-url: db may be"},
		"a move in plaintext":        {[]string{"migrate", "--from", ".", "--to", "postgres://db/x"}, 1, "--to: db may be"},
		"a database in TLS":          {[]string{"logsvc", "--token-keys", none, "--database-url", "postgres://db/x?sslmode=verify-full"}, 1, "--token-keys: "},
		"plaintext that is wanted":   {[]string{"logsvc", "--token-keys", none, "--insecure", "--database-url", "postgres://db/x"}, 1, "--token-keys: "},
		"a command in plaintext":     {[]string{"keys", "list", "-w", "acme", "--auth-addr", "auth:7001"}, 1, "--auth-addr: auth:7001"},
		"a command without its CA":   {[]string{"logs", "list", "-w", "acme", "--tls-ca", none}, 1, "--tls-ca: open " + none},
		"half a client's pair":       {[]string{"check", "--tls-client-key", key}, 2, "--tls-client-cert"},
		"a client's pair that isn't": {[]string{"check", "--tls-client-cert", cert, "--tls-client-key", none}, 1, "--tls-client-key: open"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, _, stderr := keytrail(t, tt.args...); code != tt.code || !strings.Contains(stderr, tt.says) {
				t.Errorf("exit code %d, want %d and %q: %s", code, tt.code, tt.says, stderr)
			}
		})
	}
}
