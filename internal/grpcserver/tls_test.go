package grpcserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/keytrail/keytrail/internal/certreload"
	"github.com/keytrail/keytrail/internal/httpserver"
	"github.com/keytrail/keytrail/internal/lifecycle"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
	"github.com/keytrail/keytrail/internal/testing/tlstest"
)

// secured is a gRPC server and an HTTP server with TLS, on TCP sockets.
type secured struct {
	authority, clients *tlstest.Authority
	cert, key, ca      string
	grpc, rest         string
	pipe               *bufconn.Listener
}

// newSecured starts the servers. With mutual, gRPC requires a client certificate.
func newSecured(t *testing.T, pair func(*tlstest.Authority) tlstest.Pair, mutual bool) *secured {
	t.Helper()
	s := &secured{authority: tlstest.NewAuthority(t), clients: tlstest.NewAuthority(t), pipe: bufconn.Listen(1 << 16)}
	s.cert, s.key = pair(s.authority).Write(t)
	s.ca = s.clients.Write(t)
	log := slog.New(slog.DiscardHandler)
	certificate, err := certreload.OpenCertificate(s.cert, s.key, log)
	must(t, err)
	var clients *certreload.Authorities
	if mutual {
		clients, err = certreload.OpenAuthorities(s.ca, log)
		must(t, err)
	}
	authorizer, _ := accesstest.Pair(t)
	server, err := New(Config{Log: log, Authorizer: authorizer, MaxMessageBytes: AuthMessageBytes})
	must(t, err)
	overGRPC, overHTTP := listenLocally(t), listenLocally(t)
	s.grpc, s.rest = overGRPC.Addr().String(), overHTTP.Addr().String()
	ok := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
	background(t, func(ctx context.Context) error {
		return server.Run(ctx, tls.NewListener(overGRPC, certificate.ServerConfig(clients, "h2")), s.pipe)
	})
	background(t, func(ctx context.Context) error {
		return httpserver.Serve(ctx, tls.NewListener(overHTTP, certificate.ServerConfig(nil, "h2", "http/1.1")), ok, log)
	})
	return s
}

func listenLocally(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return l
}

// background runs a part until the test ends.
func background(t *testing.T, part lifecycle.Part) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- part(ctx) }()
	t.Cleanup(func() { cancel(); must(t, <-ended) })
}

func issue(t *testing.T, name string) func(*tlstest.Authority) tlstest.Pair {
	return func(a *tlstest.Authority) tlstest.Pair { return a.Issue(t, name) }
}

// call makes a gRPC call on a new connection. It returns the subject of the certificate that the server presented.
func (s *secured) call(t *testing.T, config *tls.Config) (name string, err error) {
	t.Helper()
	config = config.Clone()
	config.VerifyConnection = func(state tls.ConnectionState) error {
		name = state.PeerCertificates[0].Subject.CommonName
		return nil
	}
	return name, checkHealth(t, s.grpc, credentials.NewTLS(config))
}

func checkHealth(t *testing.T, addr string, transport credentials.TransportCredentials) error {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(transport))
	must(t, err)
	defer conn.Close()
	_, err = grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	return err
}

// get makes an HTTP request on a new connection. It returns the protocol.
func (s *secured) get(t *testing.T, config *tls.Config, h2 bool) (proto string, err error) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: config.Clone(), ForceAttemptHTTP2: h2, DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport}).Get("https://" + s.rest)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func TestTLSOverRealSockets(t *testing.T) {
	t.Parallel()
	s := newSecured(t, issue(t, "server"), false)
	trusting := &tls.Config{RootCAs: s.authority.Pool()}
	if name, err := s.call(t, trusting); err != nil || name != "server" {
		t.Errorf("gRPC: %v, %q", err, name)
	}
	for h2, want := range map[bool]string{true: "HTTP/2.0", false: "HTTP/1.1"} {
		if proto, err := s.get(t, trusting, h2); err != nil || proto != want {
			t.Errorf("REST: %v, %q, want %q", err, proto, want)
		}
	}
	old := &tls.Config{RootCAs: s.authority.Pool(), MaxVersion: tls.VersionTLS11}
	if _, err := s.get(t, old, false); err == nil {
		t.Error("TLS 1.1 is accepted")
	}
	foreign := &tls.Config{RootCAs: s.clients.Pool()}
	if _, err := s.call(t, foreign); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "authority") {
		t.Errorf("a server of an authority that is not trusted: %v", err)
	}
}

func TestPlaintextAtATLSPortIsRefusedAndTheServerContinues(t *testing.T) {
	t.Parallel()
	s := newSecured(t, issue(t, "server"), false)
	if err := checkHealth(t, s.grpc, insecure.NewCredentials()); status.Code(err) != codes.Unavailable {
		t.Errorf("gRPC in plaintext: %v", err)
	}
	response, err := http.Get("http://" + s.rest)
	must(t, err)
	response.Body.Close()
	if response.StatusCode != http.StatusBadRequest {
		t.Errorf("REST in plaintext: %d", response.StatusCode)
	}
	for _, addr := range []string{s.grpc, s.rest} {
		conn, err := net.Dial("tcp", addr)
		must(t, err)
		_, err = conn.Write([]byte("\x16\x03\x01\xff\xffjunk"))
		must(t, err)
		must(t, conn.Close())
	}
	if _, err := s.call(t, &tls.Config{RootCAs: s.authority.Pool()}); err != nil {
		t.Errorf("gRPC after that: %v", err)
	}
	if _, err := s.get(t, &tls.Config{RootCAs: s.authority.Pool()}, true); err != nil {
		t.Errorf("REST after that: %v", err)
	}
}

func TestInMemoryConnectionNeedsNoTLS(t *testing.T) {
	t.Parallel()
	s := newSecured(t, issue(t, "server"), true)
	conn, err := grpc.NewClient("passthrough:pipe", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.pipe.DialContext(ctx) }))
	must(t, err)
	defer conn.Close()
	_, err = grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	must(t, err)
}

func TestExpiredCertificatesAreRefused(t *testing.T) {
	t.Parallel()
	s := newSecured(t, func(a *tlstest.Authority) tlstest.Pair { return a.IssueUntil(t, "old", time.Now().Add(-time.Hour)) }, false)
	trusting := &tls.Config{RootCAs: s.authority.Pool()}
	if _, err := s.call(t, trusting); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("gRPC: %v", err)
	}
	_, err := s.get(t, trusting, true)
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); !ok || invalid.Reason != x509.Expired {
		t.Errorf("REST: %v", err)
	}
}

func TestMutualTLSAcceptsClientsOfTheAuthority(t *testing.T) {
	t.Parallel()
	s := newSecured(t, issue(t, "server"), true)
	with := func(pair tlstest.Pair) *tls.Config {
		return &tls.Config{RootCAs: s.authority.Pool(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			c := pair.TLS(t)
			return &c, nil
		}}
	}
	none := &tls.Config{RootCAs: s.authority.Pool()}
	for name, tt := range map[string]struct {
		config *tls.Config
		in     bool
	}{
		"one of the authority": {with(s.clients.Issue(t, "client")), true},
		"none":                 {none, false},
		"one of another":       {with(tlstest.NewAuthority(t).Issue(t, "client")), false},
		"one of the server's":  {with(s.authority.Issue(t, "client")), false},
		"an expired one":       {with(s.clients.IssueUntil(t, "client", time.Now().Add(-time.Minute))), false},
	} {
		if _, err := s.call(t, tt.config); (err == nil) != tt.in || err != nil && status.Code(err) != codes.Unavailable {
			t.Errorf("a client with %s: %v", name, err)
		}
	}
	if _, err := s.get(t, none, true); err != nil {
		t.Errorf("REST requires a client certificate: %v", err)
	}
}

// eventually polls until done returns true: changed files are read once a second.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !done() {
		select {
		case <-deadline:
			t.Fatalf("timed out waiting for %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestFilesAreReplacedWhileTheServerRuns(t *testing.T) {
	t.Parallel()
	s := newSecured(t, issue(t, "first"), true)
	client := s.clients.Issue(t, "client").TLS(t)
	config := &tls.Config{RootCAs: s.authority.Pool(), Certificates: []tls.Certificate{client}}
	open, err := grpc.NewClient(s.grpc, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	must(t, err)
	defer open.Close()
	check := func() error {
		_, err := grpc_health_v1.NewHealthClient(open).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		return err
	}
	must(t, check())
	s.authority.Issue(t, "second").WriteTo(t, s.cert, s.key)
	eventually(t, "the new certificate", func() bool {
		name, err := s.call(t, config)
		must(t, err)
		return name == "second"
	})
	next := tlstest.NewAuthority(t)
	tlstest.Replace(t, s.ca, next.PEM)
	eventually(t, "the new authority", func() bool { _, err := s.call(t, config); return err != nil })
	config.Certificates = []tls.Certificate{next.Issue(t, "client").TLS(t)}
	if _, err := s.call(t, config); err != nil {
		t.Errorf("a client of the new authority: %v", err)
	}
	if err := check(); err != nil {
		t.Errorf("the open connection: %v", err)
	}
}

func TestClientsFollowTheirFiles(t *testing.T) {
	t.Parallel()
	s := newSecured(t, issue(t, "server"), true)
	log := slog.New(slog.DiscardHandler)
	cert, key := s.clients.Issue(t, "client").Write(t)
	ca := tlstest.NewAuthority(t).Write(t)
	own, err := certreload.OpenCertificate(cert, key, log)
	must(t, err)
	servers, err := certreload.OpenAuthorities(ca, log)
	must(t, err)
	transport := certreload.ClientCredentials(servers, own)
	if err := checkHealth(t, s.grpc, transport); err == nil {
		t.Error("a server of an authority that is not in the file is trusted")
	}
	tlstest.Replace(t, ca, s.authority.PEM)
	eventually(t, "trust in the server", func() bool { return checkHealth(t, s.grpc, transport) == nil })
	tlstest.NewAuthority(t).Issue(t, "other").WriteTo(t, cert, key)
	eventually(t, "the new certificate of the client", func() bool { return checkHealth(t, s.grpc, transport) != nil })
	if err := checkHealth(t, s.grpc, certreload.ClientCredentials(nil, own)); err == nil || !strings.Contains(err.Error(), "authority") {
		t.Errorf("the system's authorities: %v", err)
	}
}
