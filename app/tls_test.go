package app

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/keytrail/keytrail/internal/testing/tlstest"
)

func TestPlaintextIsRefusedBeyondLoopback(t *testing.T) {
	cert, key := tlstest.NewAuthority(t).Issue(t, "server").Write(t)
	log := slog.New(slog.DiscardHandler)
	for addr, here := range map[string]bool{
		"127.0.0.1:0": true, "127.1.2.3:1": true, "localhost:1": true, "[::1]:1": true, "[::ffff:127.0.0.1]:1": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "10.0.0.1:1": false, "auth:1": false, "localhost.example.com:1": false, "": false,
	} {
		for _, allowed := range []bool{true, false} {
			plain := InsecureFlag{Insecure: allowed}
			e, err := listenFlags{InsecureFlag: plain}.load(log)
			if err != nil {
				t.Fatal(err)
			}
			err = e.check("--auth-addr", addr)
			if (err == nil) != (here || allowed) || err != nil && !says(err, "--auth-addr", "--tls-cert", "--insecure") {
				t.Errorf("listening to %q, --insecure %v: %v", addr, allowed, err)
			}
			_, err = DialFlags{}.TransportCredentials("--logs-addr", addr, plain, log)
			if (err == nil) != (here || allowed) || err != nil && !says(err, "--logs-addr", "--tls-ca", "--insecure") {
				t.Errorf("calling %q, --insecure %v: %v", addr, allowed, err)
			}
		}
		e, err := listenFlags{TLSCert: cert, TLSKey: key}.load(log)
		if err != nil || e.check("--auth-addr", addr) != nil {
			t.Errorf("TLS at %q is refused: %v", addr, err)
		}
		for _, flags := range []DialFlags{{TLS: true}, {TLSCA: cert}, {TLSClientCert: cert, TLSClientKey: key}} {
			if transport, err := flags.TransportCredentials("--logs-addr", addr, InsecureFlag{}, log); err != nil || transport.Info().SecurityProtocol != "tls" {
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
