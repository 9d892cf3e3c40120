// Package certreload makes TLS configurations from PEM files that can be replaced while they are in use. New connections use
// the new files; open connections are not affected.
package certreload

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
)

// Certificate is a certificate with its private key. It is safe for concurrent use.
type Certificate struct{ files *files[*tls.Certificate] }

// OpenCertificate reads a certificate, followed by any intermediate certificates, and its private key.
func OpenCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	f, err := open(log, func(texts [][]byte) (*tls.Certificate, error) {
		pair, err := tls.X509KeyPair(texts[0], texts[1])
		if err != nil {
			return nil, fmt.Errorf("parse a certificate and its key: %w", err)
		}
		return &pair, nil
	}, certFile, keyFile)
	return &Certificate{f}, err
}

// NotAfter returns when the current certificate expires.
func (c *Certificate) NotAfter() time.Time { return c.files.current().Leaf.NotAfter }

// Authorities are trusted certificate authorities. They are safe for concurrent use.
type Authorities struct{ files *files[*x509.CertPool] }

// OpenAuthorities reads the certificates of one or more authorities.
func OpenAuthorities(file string, log *slog.Logger) (*Authorities, error) {
	f, err := open(log, func(texts [][]byte) (*x509.CertPool, error) {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(texts[0]) {
			return nil, errors.New("parse certificate authorities: no certificate in PEM format")
		}
		return pool, nil
	}, file)
	return &Authorities{f}, err
}

// ServerConfig returns the configuration of a listener. If clients is not nil, clients must present a certificate of one of
// these authorities. The protocols are for ALPN, in order of preference.
func (c *Certificate) ServerConfig(clients *Authorities, protocols ...string) *tls.Config {
	base := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     protocols,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.files.current(), nil },
	}
	if clients == nil {
		return base
	}
	base.ClientAuth = tls.RequireAndVerifyClientCert
	// A resumed session presents no certificate, so it would remain valid after its authority has been removed.
	base.SessionTicketsDisabled = true
	withClients := base.Clone()
	withClients.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		config := base.Clone()
		config.ClientCAs = clients.files.current()
		return config, nil
	}
	return withClients
}

// ClientCredentials returns the TLS credentials of gRPC connections. If servers is nil, the authorities of the system are
// trusted. If own is not nil, it is presented to servers that ask for a client certificate.
func ClientCredentials(servers *Authorities, own *Certificate) credentials.TransportCredentials {
	return clientCredentials{TransportCredentials: credentials.NewTLS(nil), servers: servers, own: own}
}

// clientCredentials uses a new configuration for each connection, because RootCAs cannot be changed later.
type clientCredentials struct {
	credentials.TransportCredentials
	servers *Authorities
	own     *Certificate
}

// ClientHandshake implements credentials.TransportCredentials.
func (c clientCredentials) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.servers != nil {
		config.RootCAs = c.servers.files.current()
	}
	if c.own != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.own.files.current(), nil }
	}
	return credentials.NewTLS(config).ClientHandshake(ctx, authority, conn)
}

// Clone implements credentials.TransportCredentials.
func (c clientCredentials) Clone() credentials.TransportCredentials { return c }

// checkInterval is how often the files are read at most, so that not every handshake waits for the disk.
const checkInterval = time.Second

// files holds the parsed content of files. It reads them again when current is called, without a goroutine.
type files[T any] struct {
	paths []string
	parse func(texts [][]byte) (T, error)
	log   *slog.Logger

	mu      sync.Mutex
	checked time.Time
	// texts were read last; nil if that failed. They may not be the source of value.
	texts [][]byte
	value T
}

// open reads the files. parse receives their contents in the order of the paths.
func open[T any](log *slog.Logger, parse func([][]byte) (T, error), paths ...string) (*files[T], error) {
	f := &files[T]{paths: paths, parse: parse, log: log, checked: time.Now()}
	var err error
	if f.texts, err = f.read(); err != nil {
		return nil, err
	}
	if f.value, err = parse(f.texts); err != nil {
		return nil, fmt.Errorf("%q: %w", paths, err)
	}
	return f, nil
}

// current returns the parsed content. If new content is invalid, it logs that once and returns the previous value: a
// certificate and its key are rarely replaced at the same moment.
func (f *files[T]) current() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.checked) < checkInterval {
		return f.value
	}
	f.checked = time.Now()
	texts, err := f.read()
	if slices.EqualFunc(texts, f.texts, bytes.Equal) {
		return f.value
	}
	f.texts = texts
	var value T
	if err == nil {
		value, err = f.parse(texts)
	}
	if err != nil {
		f.log.Error("changed TLS files are invalid; the previous ones stay in use", "files", f.paths, "error", err)
		return f.value
	}
	f.log.Info("reloaded changed TLS files", "files", f.paths)
	f.value = value
	return f.value
}

func (f *files[T]) read() ([][]byte, error) {
	texts := make([][]byte, len(f.paths))
	for i, path := range f.paths {
		var err error
		if texts[i], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	return texts, nil
}
