package serve

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

	"github.com/keytrail/keytrail/internal/testing/tlstest"
)

// tired fails to accept once before it accepts.
type tired struct {
	*pipes
	failed bool
}

func (t *tired) Accept() (net.Conn, error) {
	if !t.failed {
		t.failed = true
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return t.pipes.Accept()
}

// TestStrangersDoNotFillTheLog connects with what is no TLS, and with an HTTP/2 that goes no further than its first words.
// What is wrong with the process itself is told.
func TestStrangersDoNotFillTheLog(t *testing.T) {
	pair := tlstest.NewAuthority(t).Issue(t, "server")
	synctest.Test(t, func(t *testing.T) {
		book, inner := &logbook{}, &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		config := &tls.Config{Certificates: []tls.Certificate{pair.TLS(t)}, NextProtos: []string{"h2"}}
		background(t, func(ctx context.Context) error {
			return HTTP(ctx, tls.NewListener(&tired{pipes: inner}, config), http.NotFoundHandler(), slog.New(slog.NewJSONHandler(book, nil)))
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
		if _, err := io.ReadAll(silent); err != nil { // until the server has had enough of it
			t.Error(err)
		}
		synctest.Wait()
		if records := book.records(t); len(records) != 1 || records[0]["level"] != "WARN" {
			t.Errorf("logged %v, want that it could not accept", records)
		}
	})
}
