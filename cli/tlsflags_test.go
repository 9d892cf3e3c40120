package cli

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keytrail/keytrail/internal/testing/tlstest"
)

func TestPlaintextStaysOnThisMachine(t *testing.T) {
	cert, key := tlstest.NewAuthority(t).Issue(t, "server").Write(t)
	log := slog.New(slog.DiscardHandler)
	for addr, here := range map[string]bool{
		"127.0.0.1:0": true, "127.1.2.3:1": true, "localhost:1": true, "[::1]:1": true, "[::ffff:127.0.0.1]:1": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "10.0.0.1:1": false, "auth:1": false, "localhost.example.com:1": false, "": false,
	} {
		for _, allowed := range []bool{true, false} {
			plain := insecureFlag{Insecure: allowed}
			e, err := listenFlags{insecureFlag: plain}.entrance(log)
			if err != nil {
				t.Fatal(err)
			}
			err = e.check("--auth-addr", addr)
			if (err == nil) != (here || allowed) || err != nil && !says(err, "--auth-addr", "--tls-cert", "--insecure") {
				t.Errorf("listening to %q, --insecure %v: %v", addr, allowed, err)
			}
			_, err = dialFlags{}.transport("--logs-addr", addr, plain, log)
			if (err == nil) != (here || allowed) || err != nil && !says(err, "--logs-addr", "--tls-ca", "--insecure") {
				t.Errorf("calling %q, --insecure %v: %v", addr, allowed, err)
			}
		}
		e, err := listenFlags{TLSCert: cert, TLSKey: key}.entrance(log)
		if err != nil || e.check("--auth-addr", addr) != nil {
			t.Errorf("TLS at %q is refused: %v", addr, err)
		}
		for _, flags := range []dialFlags{{TLS: true}, {TLSCA: cert}, {TLSClientCert: cert, TLSClientKey: key}} {
			if transport, err := flags.transport("--logs-addr", addr, insecureFlag{}, log); err != nil || transport.Info().SecurityProtocol != "tls" {
				t.Errorf("calling %q with %+v: %v", addr, flags, err)
			}
		}
	}
}

func says(err error, texts ...string) bool {
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			return false
		}
	}
	return true
}

func TestWrongTLSFlagsAreNamed(t *testing.T) {
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
		"REST in plaintext":          {[]string{"gateway", "--gateway-addr", ":0"}, 1, "--gateway-addr: :0"},
		"a part in plaintext":        {[]string{"gateway", "--gateway-addr", "127.0.0.1:0", "--logs-addr", "logs:7002"}, 1, "--logs-addr: logs:7002"},
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
