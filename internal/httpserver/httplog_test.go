package httpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/keytrail/keytrail/internal/testing/logtest"
	"github.com/keytrail/keytrail/internal/testing/tlstest"
)

// flakyListener fails to accept once.
type flakyListener struct {
	*pipeListener
	failed bool
}

func (f *flakyListener) Accept() (net.Conn, error) {
	if !f.failed {
		f.failed = true
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return f.pipeListener.Accept()
}

// TestConnectionErrorsAreNotLogged connects in plaintext to a TLS port, and sends only the preface of HTTP/2. A failure to
// accept connections is logged.
func TestConnectionErrorsAreNotLogged(t *testing.T) {
	pair := tlstest.NewAuthority(t).Issue(t, "server")
	synctest.Test(t, func(t *testing.T) {
		log, inner := &logtest.Buffer{}, &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		config := &tls.Config{Certificates: []tls.Certificate{pair.TLS(t)}, NextProtos: []string{"h2"}}
		background(t, func(ctx context.Context) error {
			return Serve(ctx, tls.NewListener(&flakyListener{pipeListener: inner}, config), http.NotFoundHandler(), slog.New(slog.NewJSONHandler(log, nil)))
		})
		for range 10 {
			client, server := net.Pipe()
			inner.conns <- server
			_, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
			must(t, err)
			if _, err := io.ReadAll(client); err != nil && !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			must(t, client.Close())
		}
		client, server := net.Pipe()
		inner.conns <- server
		silent := tls.Client(client, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		_, err := io.WriteString(silent, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
		must(t, err)
		if _, err := io.ReadAll(silent); err != nil { // until the server closes the connection
			t.Error(err)
		}
		synctest.Wait()
		if records := log.Records(t); len(records) != 1 || records[0]["level"] != "WARN" {
			t.Errorf("logged %v, want the failure to accept", records)
		}
	})
}
