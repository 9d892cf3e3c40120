package client_test

import (
	"io"
	"log"
	"net"
	"testing"
)

var discard = log.New(io.Discard, "", 0)

// dialTCP returns a connection that is closed at the end of the test.
func dialTCP(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}
