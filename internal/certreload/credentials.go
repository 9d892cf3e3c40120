package certreload

import (
	"context"
	"net"

	"google.golang.org/grpc/credentials"
)

// ClientCredentials makes the TLS of gRPC connections to servers with a certificate of one of the authorities; nil =
// the system's. own is the certificate that they are shown if they ask; nil = none.
func ClientCredentials(servers *Authorities, own *Certificate) credentials.TransportCredentials {
	return clientCredentials{TransportCredentials: credentials.NewTLS(nil), servers: servers, own: own}
}

// clientCredentials makes a configuration for every connection: a configuration of TLS holds its authorities for good.
type clientCredentials struct {
	credentials.TransportCredentials
	servers *Authorities
	own     *Certificate
}

// ClientHandshake implements credentials.TransportCredentials.
func (c clientCredentials) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return credentials.NewTLS(clientConfig(c.servers, c.own)).ClientHandshake(ctx, authority, conn)
}

// Clone implements credentials.TransportCredentials.
func (c clientCredentials) Clone() credentials.TransportCredentials { return c }
