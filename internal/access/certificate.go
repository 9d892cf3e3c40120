package access

import (
	"context"
	"crypto/x509"
	"net/url"
	"slices"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/keytrail/keytrail/internal/fault"
)

// identify returns the identity of a caller.
func (a *Authorizer) identify(ctx context.Context, authorization []string) (*Identity, error) {
	if len(authorization) == 0 && len(a.tlsCheckers) > 0 {
		if certificate := clientCertificate(ctx); certificate != nil && a.namesChecker(certificate) {
			return a.certified(certificate)
		}
	}
	return a.verifier.VerifyHeader(authorization)
}

// clientCertificate returns the verified certificate with which a caller has connected; nil if there is none.
func clientCertificate(ctx context.Context) *x509.Certificate {
	caller, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	secured, ok := caller.AuthInfo.(credentials.TLSInfo)
	if !ok || len(secured.State.VerifiedChains) == 0 {
		return nil
	}
	return secured.State.VerifiedChains[0][0]
}

// namesChecker reports whether a certificate has one of the names of checkers. Its common name is not read: RFC 9525 forbids it.
func (a *Authorizer) namesChecker(certificate *x509.Certificate) bool {
	named := func(name string) bool { return slices.Contains(a.tlsCheckers, name) }
	return slices.ContainsFunc(certificate.DNSNames, named) ||
		slices.ContainsFunc(certificate.URIs, func(uri *url.URL) bool { return named(uri.String()) })
}

// certified returns the identity of the holder of a certificate. It was verified when the connection began, which may be an hour ago.
func (a *Authorizer) certified(certificate *x509.Certificate) (*Identity, error) {
	if !a.verifier.now().Before(certificate.NotAfter) {
		return nil, fault.New(fault.TokenInvalid, "the client certificate has expired")
	}
	return &Identity{Role: Checker, all: true, expires: certificate.NotAfter.Unix()}, nil
}
