package httpserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keytrail/keytrail/internal/testing/tlstest"
)

const get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

// streamFor sends a line each interval until the stream has lasted for a time, and returns why it ended earlier.
func streamFor(lasts, interval time.Duration, ended chan<- error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stream, ctx, cancel := NewStream(w, r)
		defer cancel()
		for range lasts / interval {
			if err := stream.Send([]byte("line\n")); err != nil {
				ended <- err
				return
			}
			select {
			case <-time.After(interval):
			case <-ctx.Done():
				_ = stream.Send([]byte("end\n"))
				ended <- context.Cause(ctx)
				return
			}
		}
		ended <- nil
	})
}

func TestStreamLastsLongerThanOtherResponses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		conn := connectHTTP(t, streamFor(10*responseTimeout, requestTimeout, ended))
		_, err := io.WriteString(conn, get)
		must(t, err)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		must(t, err)
		lines, err := io.ReadAll(response.Body)
		must(t, err)
		must(t, <-ended)
		if want := 5 * int(10*responseTimeout/requestTimeout); len(lines) != want {
			t.Errorf("got %d bytes, want %d", len(lines), want)
		}
	})
}

// TestStreamMayBeSilent waits for longer than other responses may take, before the first line and before the second.
func TestStreamMayBeSilent(t *testing.T) {
	pair := tlstest.NewAuthority(t).Issue(t, "server")
	for _, protocol := range []string{"http/1.1", "h2"} {
		t.Run(protocol, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					stream, _, cancel := NewStream(w, r)
					defer cancel()
					for range 2 {
						<-time.After(2 * responseTimeout)
						_ = stream.Send([]byte("line\n"))
					}
				})
				transport := &http.Transport{
					DialContext:       dialHTTPS(t, handler, pair.TLS(t), protocol),
					TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
					ForceAttemptHTTP2: true,
				}
				defer transport.CloseIdleConnections()
				response, err := (&http.Client{Transport: transport}).Get("https://localhost")
				must(t, err)
				text, err := io.ReadAll(response.Body)
				if string(text) != "line\nline\n" || err != nil || (response.ProtoMajor == 2) != (protocol == "h2") {
					t.Errorf("got %q over %s, %v", text, response.Proto, err)
				}
			})
		})
	}
}

// dialHTTPS serves a handler with TLS, and returns what connects to it.
func dialHTTPS(
	t *testing.T, handler http.Handler, certificate tls.Certificate, protocol string,
) func(context.Context, string, string) (net.Conn, error) {
	t.Helper()
	listener := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{protocol}}
	background(t, func(ctx context.Context) error {
		return Serve(ctx, tls.NewListener(listener, config), handler, slog.New(slog.DiscardHandler))
	})
	return func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		listener.conns <- server
		return client, nil
	}
}

func TestStreamEndsWithoutItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 2)
		handler := streamFor(10*responseTimeout, requestTimeout, ended)
		_, err := io.WriteString(connectHTTP(t, handler), get)
		must(t, err)
		began := time.Now()
		if err := <-ended; err == nil || time.Since(began) != responseTimeout {
			t.Errorf("without a reader the stream ended after %v with %v", time.Since(began), err)
		}
		conn := connectHTTP(t, handler)
		_, err = io.WriteString(conn, get)
		must(t, err)
		_, err = io.ReadFull(conn, make([]byte, 20))
		must(t, err)
		must(t, conn.Close())
		if err := <-ended; err == nil {
			t.Error("the stream of a closed connection ended without an error")
		}
	})
}

func TestStreamEndsWithTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended, served := make(chan error, 1), make(chan error, 1)
		listener := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		ctx, stop := context.WithCancel(t.Context())
		go func() {
			served <- Serve(ctx, listener, streamFor(time.Hour, time.Minute, ended), slog.New(slog.DiscardHandler))
		}()
		client, server := net.Pipe()
		listener.conns <- server
		_, err := io.WriteString(client, get)
		must(t, err)
		response, err := http.ReadResponse(bufio.NewReader(client), nil)
		must(t, err)
		time.AfterFunc(time.Second, stop)
		text, err := io.ReadAll(response.Body)
		if err := <-ended; !errors.Is(err, ErrStopping) {
			t.Errorf("the stream ended with %v", err)
		}
		must(t, <-served)
		if string(text) != "line\nend\n" || err != nil {
			t.Errorf("got %q, %v", text, err)
		}
	})
}
