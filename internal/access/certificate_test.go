package access

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/testing/tlstest"
)

// from returns the context of a call on a connection with a client certificate, which was verified or not.
func from(t *testing.T, pair tlstest.Pair, verified bool) context.Context {
	t.Helper()
	leaf, err := x509.ParseCertificate(pair.TLS(t).Certificate[0])
	must(t, err)
	state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
	if verified {
		state.VerifiedChains = [][]*x509.Certificate{{leaf}}
	}
	return peer.NewContext(t.Context(), &peer.Peer{AuthInfo: credentials.TLSInfo{State: state}})
}

func TestACertificateOfACheckerReplacesTheToken(t *testing.T) {
	const check, keys = authv1.CheckService_Check_FullMethodName, authv1.KeyService_ListKeys_FullMethodName
	f, authority := newFixture(t), tlstest.NewAuthority(t)
	authorizer := NewAuthorizer(f.verifier, "envoy.example.com", "spiffe://example.com/envoy")
	must(t, authorizer.ReadRules(services()))
	until := f.verifier.now().Add(time.Hour).Truncate(time.Second)
	issue := func(names ...string) tlstest.Pair { return authority.IssueTo(t, until, names...) }
	for name, tt := range map[string]struct {
		ctx     context.Context
		method  string
		headers []string
		want    fault.Kind // zero = allowed
	}{
		"a DNS name":                   {from(t, issue("envoy.example.com"), true), check, nil, 0},
		"a URI among others":           {from(t, issue("a.example.com", "spiffe://example.com/a", "spiffe://example.com/envoy"), true), check, nil, 0},
		"for another role":             {from(t, issue("envoy.example.com"), true), keys, nil, fault.Forbidden},
		"another name":                 {from(t, issue("a.envoy.example.com", "spiffe://example.com/envoy/a"), true), check, nil, fault.Unauthenticated},
		"no name":                      {from(t, issue(), true), check, nil, fault.Unauthenticated},
		"not verified":                 {from(t, issue("envoy.example.com"), false), check, nil, fault.Unauthenticated},
		"expired on an old connection": {from(t, authority.IssueTo(t, f.verifier.now(), "envoy.example.com"), true), check, nil, fault.Unauthenticated},
		"with a bad token":             {from(t, issue("envoy.example.com"), true), check, []string{"Bearer x"}, fault.Unauthenticated},
		"with an empty one":            {from(t, issue("envoy.example.com"), true), check, []string{""}, fault.Unauthenticated},
		"with a token of another role": {from(t, issue("envoy.example.com"), true), check, []string{"Bearer " + f.token(t, Viewer, "acme")}, fault.Forbidden},
		"no TLS":                       {peer.NewContext(t.Context(), &peer.Peer{AuthInfo: insecureInfo(t)}), check, nil, fault.Unauthenticated},
		"no connection":                {t.Context(), check, nil, fault.Unauthenticated},
	} {
		ctx, err := authorizer.Authenticate(tt.ctx, tt.method, tt.headers)
		if fault.KindOf(err) != tt.want || (err == nil) != (tt.want == 0) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		identity, known := FromContext(ctx)
		if known != (tt.want == 0) || known && (identity.Role != Checker || !identity.AllWorkspaces() || !identity.Expires().Equal(until)) {
			t.Errorf("%s: called by %+v", name, identity)
		}
		if _, err := f.authorizer(t).Authenticate(tt.ctx, tt.method, nil); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("%s, without names: %v", name, err)
		}
	}
}

// insecureInfo is the state of a connection without TLS.
func insecureInfo(t *testing.T) credentials.AuthInfo {
	t.Helper()
	_, info, err := insecure.NewCredentials().ServerHandshake(nil)
	must(t, err)
	return info
}
