package httpserver

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
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
