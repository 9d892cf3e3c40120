package e2e

import (
	"crypto/tls"
	"net/http"
	"testing"

	"google.golang.org/grpc/credentials"

	"github.com/keytrail/keytrail/app"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
	"github.com/keytrail/keytrail/internal/testing/tlstest"
)

func TestMutualTLS(t *testing.T) {
	t.Parallel()
	authority := tlstest.NewAuthority(t)
	ca := authority.Write(t)
	cert, key := authority.Issue(t, "keytrail").Write(t)
	ofAuthority := &tls.Config{RootCAs: authority.Pool(), Certificates: []tls.Certificate{authority.Issue(t, "client").TLS(t)}}
	s, auth := replica(t, pgtest.Database(t, nil), replicaOptions{
		transport: credentials.NewTLS(ofAuthority),
		client:    &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool()}, ForceAttemptHTTP2: true}},
		secure: func(logs *app.LogsConfig, auth *app.AuthConfig, gateway *app.GatewayConfig) {
			logs.TLSCert, logs.TLSKey, logs.TLSClientCA = cert, key, ca
			auth.TLSCert, auth.TLSKey, auth.TLSClientCA = cert, key, ca
			auth.TLSCA, auth.TLSClientCert, auth.TLSClientKey = ca, cert, key
			gateway.TLSCert, gateway.TLSKey = cert, key
			gateway.TLSCA, gateway.TLSClientCert, gateway.TLSClientKey = ca, cert, key
		},
	})
	k := s.createKey("acme", "k", nil) // over REST, and from the gateway to the auth service
	answer := s.check(k, &authv1.CheckRequest{Endpoint: "/secured"})
	row := s.row("acme", answer.GetRequestLogId(), exists) // from the auth service to the log service
	if row["endpoint"] != "/secured" {
		t.Errorf("row %v", row)
	}
	args := []string{"keys", "list", "-w", "acme", "--auth-addr=" + auth.AuthAddr(), "--tls-ca=" + ca, "--token=" + s.token(access.Viewer, "acme")}
	if code, _, errs := s.command(append(args, "--tls-client-cert="+cert, "--tls-client-key="+key)...); code != 0 {
		t.Errorf("the command line: %d %s", code, errs)
	}
	if code, out, errs := s.command(args...); code == 0 {
		t.Errorf("a client without a certificate is accepted: %s%s", out, errs)
	}
	if _, err := authv1.NewKeyServiceClient(dial(t, auth.AuthAddr())).ListKeys(t.Context(), &authv1.ListKeysRequest{WorkspaceId: "acme"}); err == nil {
		t.Error("plaintext is accepted")
	}
}

func TestServeWithTLS(t *testing.T) {
	t.Parallel()
	authority := tlstest.NewAuthority(t)
	cert, key := authority.Issue(t, "keytrail").Write(t)
	p := startProcess(t, t.TempDir(), "--tls-cert="+cert, "--tls-key="+key)
	code, _, errs := p.command("keys", "list", "-w", "acme", "--auth-addr="+p.auth, "--tls-ca="+authority.Write(t))
	if code != 0 {
		t.Errorf("with the authority: %d %s", code, errs)
	}
	for _, args := range [][]string{nil, {"--tls"}} {
		if code, _, errs := p.command(append([]string{"keys", "list", "-w", "acme", "--auth-addr=" + p.auth}, args...)...); code != 1 {
			t.Errorf("with %v: %d %s", args, code, errs)
		}
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool()}}}
	resp, err := client.Get("https://" + p.rest + "/v2")
	if err != nil || resp.StatusCode != http.StatusNotFound {
		t.Fatalf("REST: %v %v", resp, err)
	}
	resp.Body.Close()
}
