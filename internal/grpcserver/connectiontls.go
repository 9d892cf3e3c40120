package grpcserver

import (
	"crypto/tls"
	"fmt"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// connectionTLS shows the TLS state of a connection, with the client's certificate, to the calls on it. The listener makes the TLS.
// Connections of other listeners are passed on as they are.
type connectionTLS struct {
	credentials.TransportCredentials
}

func newConnectionTLS() connectionTLS { return connectionTLS{insecure.NewCredentials()} }

// ServerHandshake implements credentials.TransportCredentials. The caller has set a deadline.
func (c connectionTLS) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secured, ok := conn.(*tls.Conn)
	if !ok {
		return c.TransportCredentials.ServerHandshake(conn)
	}
	if err := secured.Handshake(); err != nil {
		return nil, nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return conn, credentials.TLSInfo{
		State:          secured.ConnectionState(),
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
	}, nil
}
