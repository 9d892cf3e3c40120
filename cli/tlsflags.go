package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/keytrail/keytrail/internal/certreload"
)

// insecureFlag is of the whole process.
type insecureFlag struct {
	Insecure bool `help:"Allow plaintext to and from other machines: whoever is on the way reads tokens, keys and request logs."`
}

// listenFlags secure the listeners of a process, except the ops port.
type listenFlags struct {
	insecureFlag `embed:""`

	TLSCert     string `name:"tls-cert" and:"tls-cert" type:"path" help:"PEM file with the certificate of this server, and intermediate ones after it: its ports speak TLS, except the one of --ops-addr. Read again when it changes."`
	TLSKey      string `name:"tls-key" and:"tls-cert" type:"path" help:"PEM file with the private key of --tls-cert."`
	TLSClientCA string `name:"tls-client-ca" type:"path" help:"PEM file with authorities: who calls gRPC must show a certificate of one of them. REST, which browsers call, does not ask for one."`
}

// dialFlags secure the calls that a process makes.
type dialFlags struct {
	TLS           bool   `name:"tls" help:"Call services in TLS. The other --tls-… flags of calls imply it."`
	TLSCA         string `name:"tls-ca" type:"path" help:"PEM file with the authorities of the services that are called; without it, those that the system trusts. Read again when it changes."`
	TLSClientCert string `name:"tls-client-cert" and:"tls-client-cert" type:"path" help:"PEM file with the certificate to show to the services that are called."`
	TLSClientKey  string `name:"tls-client-key" and:"tls-client-cert" type:"path" help:"PEM file with the private key of --tls-client-cert."`
}

// callFlags are of commands that call a service: how they do it, and with which token.
type callFlags struct {
	callerToken  `embed:""`
	dialFlags    `embed:""`
	insecureFlag `embed:""`
}

// onThisMachine tells whether an address, host:port, is of the loopback interface.
func onThisMachine(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip, notIP := netip.ParseAddr(host)
	return err == nil && (host == "localhost" || notIP == nil && ip.Unmap().IsLoopback())
}

// entrance is how calls come into a process over the network.
type entrance struct {
	// certificate is shown in TLS; nil = plaintext.
	certificate *certreload.Certificate
	// clients are the authorities of those who may call gRPC; nil = everyone may.
	clients *certreload.Authorities
	insecureFlag
}

// entrance reads the files.
func (f listenFlags) entrance(log *slog.Logger) (e entrance, err error) {
	e.insecureFlag = f.insecureFlag
	if f.TLSCert == "" {
		if f.TLSClientCA != "" {
			return e, errors.New("--tls-client-ca: needs TLS: give --tls-cert and --tls-key, too")
		}
		return e, nil
	}
	if e.certificate, err = certreload.OpenCertificate(f.TLSCert, f.TLSKey, log); err != nil {
		return e, fmt.Errorf("--tls-cert, --tls-key: %w", err)
	}
	tellOpenKey(log, f.TLSKey)
	if f.TLSClientCA == "" {
		return e, nil
	}
	if e.clients, err = certreload.OpenAuthorities(f.TLSClientCA, log); err != nil {
		return e, fmt.Errorf("--tls-client-ca: %w", err)
	}
	return e, nil
}

// check refuses plaintext that others could read.
func (e entrance) check(flag, addr string) error {
	if e.certificate != nil || e.Insecure || onThisMachine(addr) {
		return nil
	}
	return fmt.Errorf("%s: %s is open to other machines, and without TLS: give --tls-cert and --tls-key, or --insecure to allow plaintext", flag, addr)
}

// transport is how an address is called, plain or in TLS.
func (f dialFlags) transport(flag, addr string, plain insecureFlag, log *slog.Logger) (credentials.TransportCredentials, error) {
	if !f.secured() {
		if plain.Insecure || onThisMachine(addr) {
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

// secured tells whether calls are made in TLS.
func (f dialFlags) secured() bool { return f.TLS || f.TLSCA != "" || f.TLSClientCert != "" }
