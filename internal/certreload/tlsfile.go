// Package tlsfile makes TLS out of PEM files that may be replaced while they are in use: certificates are renewed, and
// authorities change, without a restart. New connections get what the files hold; those that are open stay as they are.
package certreload

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Certificate is a certificate with its key. It may be used concurrently.
type Certificate struct{ files *watched[*tls.Certificate] }

// OpenCertificate reads a certificate, with the intermediate ones after it, and its private key.
func OpenCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	files, err := watch(log, parsePair, certFile, keyFile)
	return &Certificate{files}, err
}

func parsePair(texts [][]byte) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(texts[0], texts[1])
	if err != nil {
		return nil, fmt.Errorf("read a certificate and its key: %w", err)
	}
	return &pair, nil
}

// NotAfter is when the certificate that is shown now expires.
func (c *Certificate) NotAfter() time.Time { return c.files.current().Leaf.NotAfter }

// Authorities are those whose certificates are trusted. They may be used concurrently.
type Authorities struct{ files *watched[*x509.CertPool] }

// OpenAuthorities reads the certificates of authorities, one or more.
func OpenAuthorities(file string, log *slog.Logger) (*Authorities, error) {
	files, err := watch(log, parsePool, file)
	return &Authorities{files}, err
}

func parsePool(texts [][]byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(texts[0]) {
		return nil, errors.New("read authorities: the file holds no certificate in PEM")
	}
	return pool, nil
}

// ServerConfig makes the configuration of a listener that shows the certificate. With clients, only those come in who
// show a certificate of theirs; nil = everyone. The protocols are those above TLS ("h2", "http/1.1"), the best first.
func (c *Certificate) ServerConfig(clients *Authorities, protocols ...string) *tls.Config {
	base := &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: protocols,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.files.current(), nil
		},
	}
	if clients == nil {
		return base
	}
	base.ClientAuth = tls.RequireAndVerifyClientCert
	// A session that is resumed shows no certificate: it would outlive the authority that has been taken out.
	base.SessionTicketsDisabled = true
	withClients := base.Clone()
	withClients.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		config := base.Clone()
		config.ClientCAs = clients.files.current()
		return config, nil
	}
	return withClients
}

// clientConfig makes the configuration of one connection. Without servers the system's authorities are trusted, and
// without a certificate none is shown.
func clientConfig(servers *Authorities, own *Certificate) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if servers != nil {
		config.RootCAs = servers.files.current()
	}
	if own != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return own.files.current(), nil
		}
	}
	return config
}
