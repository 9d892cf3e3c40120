package app

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/keytrail/keytrail/internal/certreload"
	"github.com/keytrail/keytrail/internal/httpserver"
	"github.com/keytrail/keytrail/internal/pgdb"
)

// InsecureFlag allows plaintext on every listener and connection.
type InsecureFlag struct {
	Insecure bool `help:"Allow plaintext to and from other machines. Anyone on the network path can then read tokens, keys and request logs."`
}

// listenFlags configure TLS on the listeners of a process, except the ports for operators.
type listenFlags struct {
	InsecureFlag `embed:""`

	TLSCert     string `name:"tls-cert" and:"tls-cert" type:"path" help:"PEM file with the server certificate, followed by any intermediate certificates. Enables TLS on all ports except --ops-addr and --pprof-addr. Reloaded when it changes."`
	TLSKey      string `name:"tls-key" and:"tls-cert" type:"path" help:"PEM file with the private key of --tls-cert."`
	PprofAddr   string `help:"Address to serve /debug/pprof/ on, in plaintext (default: none). Profiles cost processor time: let only operators reach it."`
	TLSClientCA string `name:"tls-client-ca" type:"path" help:"PEM file with certificate authorities. gRPC clients must present a certificate issued by one of them; REST clients need none."`
}

// checkersFlag gives callers of the auth service a role by their client certificates.
type checkersFlag struct {
	TLSCheckers []string `name:"tls-checkers" help:"DNS names or URIs in client certificates. A gRPC caller without a token whose certificate has one of them is a checker for all workspaces, e.g. Envoy. Needs --tls-client-ca. Name certificates that only such proxies have."`
}

func (f checkersFlag) validate(listen listenFlags) error {
	if len(f.TLSCheckers) > 0 && listen.TLSClientCA == "" {
		return errors.New("--tls-checkers: needs --tls-client-ca, whose authorities issue the certificates")
	}
	if slices.Contains(f.TLSCheckers, "") {
		return errors.New("--tls-checkers: a name must not be empty")
	}
	return nil
}

// DialFlags configure TLS on the connections that a process makes.
type DialFlags struct {
	TLS           bool   `name:"tls" help:"Use TLS to call services. Implied by --tls-ca and --tls-client-cert."`
	TLSCA         string `name:"tls-ca" type:"path" help:"PEM file with the certificate authorities of the called services (default: those of the system). Reloaded when it changes."`
	TLSClientCert string `name:"tls-client-cert" and:"tls-client-cert" type:"path" help:"PEM file with the client certificate to present to the called services."`
	TLSClientKey  string `name:"tls-client-key" and:"tls-client-cert" type:"path" help:"PEM file with the private key of --tls-client-cert."`
}

// IsLoopback reports whether host:port is an address of the loopback interface.
func IsLoopback(addr string) bool {
	_, _, err := net.SplitHostPort(addr)
	return err == nil && httpserver.IsLoopback(addr)
}

// listenTLS is the TLS of the listeners of a process.
type listenTLS struct {
	// certificate is presented to clients; nil = plaintext.
	certificate *certreload.Certificate
	// clientCAs issue the certificates of gRPC clients; nil = no client certificate is required.
	clientCAs *certreload.Authorities
	insecure  InsecureFlag
}

// load reads the files.
func (f listenFlags) load(log *slog.Logger) (t listenTLS, err error) {
	t.insecure = f.InsecureFlag
	if f.TLSCert == "" {
		if f.TLSClientCA != "" {
			return t, errors.New("--tls-client-ca: needs TLS: give --tls-cert and --tls-key, too")
		}
		return t, nil
	}
	if t.certificate, err = certreload.OpenCertificate(f.TLSCert, f.TLSKey, log); err != nil {
		return t, fmt.Errorf("--tls-cert, --tls-key: %w", err)
	}
	warnReadableKey(log, f.TLSKey)
	if f.TLSClientCA == "" {
		return t, nil
	}
	if t.clientCAs, err = certreload.OpenAuthorities(f.TLSClientCA, log); err != nil {
		return t, fmt.Errorf("--tls-client-ca: %w", err)
	}
	return t, nil
}

// check refuses plaintext on an address that other machines can reach.
func (t listenTLS) check(flag, addr string) error {
	if t.certificate != nil || t.insecure.Insecure || IsLoopback(addr) {
		return nil
	}
	return fmt.Errorf("%s: %s is open to other machines, and without TLS: give --tls-cert and --tls-key, or --insecure to allow plaintext", flag, addr)
}

// listenGRPC listens on a TCP address, with TLS if the process has a certificate.
func (s *Server) listenGRPC(flag, addr string) (net.Listener, error) {
	l, err := s.listenSecured(flag, addr)
	if err != nil || s.tls.certificate == nil {
		return l, err
	}
	return tls.NewListener(l, s.tls.certificate.ServerConfig(s.tls.clientCAs, "h2")), nil
}

// listenHTTP is listenGRPC for REST. It asks for no client certificate, because browsers have none.
func (s *Server) listenHTTP(flag, addr string) (net.Listener, error) {
	l, err := s.listenSecured(flag, addr)
	if err != nil || s.tls.certificate == nil {
		return l, err
	}
	return tls.NewListener(l, s.tls.certificate.ServerConfig(nil, "h2", "http/1.1")), nil
}

func (s *Server) listenSecured(flag, addr string) (net.Listener, error) {
	if err := s.tls.check(flag, addr); err != nil {
		return nil, err
	}
	return s.listen(flag, addr)
}

func (s *Server) listen(flag, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	s.closeLater(l)
	s.listening = append(s.listening, strings.TrimPrefix(flag, "--"), l.Addr().String())
	return l, nil
}

// TransportCredentials returns how to call addr, which was given by flag: in TLS or in plaintext.
func (f DialFlags) TransportCredentials(flag, addr string, plaintext InsecureFlag, log *slog.Logger) (credentials.TransportCredentials, error) {
	if !f.Secured() {
		if plaintext.Insecure || IsLoopback(addr) {
			return insecure.NewCredentials(), nil
		}
		return nil, fmt.Errorf("%s: %s may be another machine, and is called without TLS: give --tls or --tls-ca, or --insecure to allow plaintext", flag, addr)
	}
	var servers *certreload.Authorities
	var own *certreload.Certificate
	var err error
	if f.TLSCA != "" {
		if servers, err = certreload.OpenAuthorities(f.TLSCA, log); err != nil {
			return nil, fmt.Errorf("--tls-ca: %w", err)
		}
	}
	if f.TLSClientCert != "" {
		if own, err = certreload.OpenCertificate(f.TLSClientCert, f.TLSClientKey, log); err != nil {
			return nil, fmt.Errorf("--tls-client-cert, --tls-client-key: %w", err)
		}
	}
	return certreload.ClientCredentials(servers, own), nil
}

// Secured reports whether calls are made in TLS.
func (f DialFlags) Secured() bool { return f.TLS || f.TLSCA != "" || f.TLSClientCert != "" }

// CheckDatabase refuses a database URL that may send keys, request logs and the password in plaintext to another machine.
func CheckDatabase(flag, url string, plaintext InsecureFlag) error {
	host, err := pgdb.PlaintextHost(url)
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	if host == "" || plaintext.Insecure {
		return nil
	}
	return fmt.Errorf("%s: %s may be another machine, and could be called without TLS: add sslmode=verify-full (or require) to the URL, or give --insecure to allow plaintext", flag, host)
}

// warnReadableKey logs a warning if every user of the machine can use a private key. It is no error, because Kubernetes
// mounts secrets with such a mode into containers that have a single user.
func warnReadableKey(log *slog.Logger, file string) {
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o007 == 0 {
		return // opening the file reports the error
	}
	log.Warn("every user of this machine can use a private key; remove the permissions of others (chmod o=)",
		"file", file, "mode", fmt.Sprintf("%04o", info.Mode().Perm()))
}
