package serve

import (
	"crypto/tls"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// Secured makes the connections of a listener that a GRPC serves TLS.
func Secured(listener net.Listener, config *tls.Config) net.Listener {
	return securedListener{listener, credentials.NewTLS(config)}
}

type securedListener struct {
	net.Listener
	tls credentials.TransportCredentials
}

// Accept implements net.Listener. The handshake comes later, where it holds up no other connection.
func (l securedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return securedConn{conn, l.tls}, nil
}

type securedConn struct {
	net.Conn
	tls credentials.TransportCredentials
}

// door lets connections in as their listener wants it: one server listens to the network and to its own process.
type door struct {
	credentials.TransportCredentials
}

func newDoor() door { return door{insecure.NewCredentials()} }

// ServerHandshake implements credentials.TransportCredentials.
func (d door) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if secured, ok := conn.(securedConn); ok {
		return secured.tls.ServerHandshake(secured.Conn)
	}
	return d.TransportCredentials.ServerHandshake(conn)
}

// Clone implements credentials.TransportCredentials.
func (d door) Clone() credentials.TransportCredentials { return d }
