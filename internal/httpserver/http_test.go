package httpserver

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipeListener accepts in-memory connections, which work in a synctest bubble.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipeListener) Close() error { close(p.closed); return nil }

func (p *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// connectHTTP serves the handler and returns a connection to it.
func connectHTTP(t *testing.T, handler http.Handler) net.Conn {
	t.Helper()
	listener := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	background(t, func(ctx context.Context) error {
		return Serve(ctx, listener, handler, slog.New(slog.DiscardHandler))
	})
	client, server := net.Pipe()
	listener.conns <- server
	t.Cleanup(func() { client.Close() })
	return client
}

// trickle sends one byte per second until the server closes the connection.
func trickle(conn net.Conn, text string) {
	for i := range len(text) {
		if _, err := io.WriteString(conn, text[i:i+1]); err != nil {
			return
		}
		<-time.After(time.Second)
	}
}

func TestSlowClientsAreCutOff(t *testing.T) {
	const request = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
	for name, tt := range map[string]struct {
		atOnce, slowly string
		limit          time.Duration
	}{
		"nothing at all":       {"", "", headerTimeout},
		"headers in a trickle": {request, "X-Slow: " + strings.Repeat("x", 1000), headerTimeout},
		"a body in a trickle":  {request + "\r\n", strings.Repeat("x", 1000), requestTimeout},
		"no further request":   {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "", idleTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := connectHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
				}))
				began, gaveUp := time.Now(), make(chan struct{})
				go func() {
					defer close(gaveUp)
					_, _ = io.WriteString(conn, tt.atOnce)
					trickle(conn, tt.slowly)
				}()
				_, _ = io.Copy(io.Discard, conn) // to the end of the connection
				took := time.Since(began)
				<-gaveUp
				if took < tt.limit || took > tt.limit+2*time.Second {
					t.Errorf("cut off after %v, want %v", took, tt.limit)
				}
			})
		})
	}
}

func TestHeadersHaveALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := connectHTTP(t, http.NotFoundHandler())
		go func() {
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: "+strings.Repeat("x", 1<<20)+"\r\n\r\n")
		}()
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		must(t, err)
		if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("got %d", response.StatusCode)
		}
	})
}
