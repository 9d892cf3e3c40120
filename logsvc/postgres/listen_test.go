package postgres_test

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keytrail/keytrail/internal/testing/pgtest"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

// TestListenEndsBehindAPoolerThatHangs: the connection stays open, but nothing comes from the database.
func TestListenEndsBehindAPoolerThatHangs(t *testing.T) {
	direct := pgtest.Database(t, migrate)
	between := newPooler(t, direct)
	store, other := open(t, between.url), open(t, direct)
	store.SetListenCheck(time.Second)
	ready, heard, ended := make(chan struct{}), make(chan logsvc.Announcement, 1), make(chan error, 1)
	go func() {
		ended <- store.Listen(t.Context(), func() { close(ready) }, func(a logsvc.Announcement) { heard <- a })
	}()
	<-ready
	<-between.checked
	must(t, other.Record(t.Context(), []logsvc.Entry{{ID: uuid7.New(time.Now()), WorkspaceID: "acme", CallCount: 1}}))
	select {
	case <-heard:
	case err := <-ended:
		t.Fatalf("after a check Listen returned %v", err)
	}
	between.hung.Store(true)
	if err := <-ended; err == nil || t.Context().Err() != nil {
		t.Errorf("Listen returned %v", err)
	}
}

// pooler passes connections on to a database.
type pooler struct {
	url string
	// checked has an element when a connection has been checked.
	checked chan struct{}
	// hung means that nothing is passed on to clients any more.
	hung atomic.Bool
}

// newPooler starts a pooler that ends with the test.
func newPooler(t *testing.T, database string) *pooler {
	t.Helper()
	address, err := url.Parse(database)
	must(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	query := address.Query()
	socket := query.Get("host") + "/.s.PGSQL.5432"
	query.Del("host")
	query.Del("port")
	address.Host, address.RawQuery = listener.Addr().String(), query.Encode()
	p := &pooler{url: address.String(), checked: make(chan struct{}, 1)}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { p.serve(client, socket) })
		}
	})
	t.Cleanup(func() { listener.Close(); serving.Wait() })
	return p
}

// serve serves a connection until one of the two ends it.
func (p *pooler) serve(client net.Conn, socket string) {
	defer client.Close()
	server, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	var forwarding sync.WaitGroup
	forwarding.Go(func() {
		defer client.Close()
		_, _ = io.Copy(writer(func(text []byte) error { return p.forward(client, text) }), server)
	})
	_, _ = io.Copy(server, io.TeeReader(client, writer(p.see)))
	server.Close()
	forwarding.Wait()
}

// forward passes on what the database sends.
func (p *pooler) forward(client net.Conn, text []byte) error {
	if p.hung.Load() {
		return nil
	}
	_, err := client.Write(text)
	return err
}

// see looks at what a client sends.
func (p *pooler) see(text []byte) error {
	if bytes.Contains(text, []byte("ping")) {
		select {
		case p.checked <- struct{}{}:
		default:
		}
	}
	return nil
}

// writer is an io.Writer.
type writer func([]byte) error

// Write implements io.Writer.
func (w writer) Write(text []byte) (int, error) { return len(text), w(text) }
