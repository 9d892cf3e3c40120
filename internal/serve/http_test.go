package serve

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/keytrail/keytrail/internal/fault"
)

// pipes is a listener within the bubble of a test, whose clock is its own.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { close(p.closed); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// connectHTTP serves the handler and answers a connection to it.
func connectHTTP(t *testing.T, handler http.Handler) net.Conn {
	t.Helper()
	listener := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	background(t, func(ctx context.Context) error {
		return HTTP(ctx, listener, handler, slog.New(slog.DiscardHandler))
	})
	client, server := net.Pipe()
	listener.conns <- server
	t.Cleanup(func() { client.Close() })
	return client
}

// trickle sends one byte a second for as long as the server takes it.
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
		"nothing at all":       {"", "", headerTime},
		"headers in a trickle": {request, "X-Slow: " + strings.Repeat("x", 1000), headerTime},
		"a body in a trickle":  {request + "\r\n", strings.Repeat("x", 1000), requestTime},
		"no further request":   {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "", idleTime},
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
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		must(t, err)
		if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("answered %d", answer.StatusCode)
		}
	})
}

func TestInternalErrorOfRESTHasItsReason(t *testing.T) {
	var st spb.Status
	must(t, protojson.Unmarshal(internalJSON, &st))
	expectReason(t, "REST", status.FromProto(&st).Err(), codes.Internal, fault.InternalError)
}

func TestPanicOfAHandlerIsInternalAndNothingMore(t *testing.T) {
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		body    string // empty: the connection breaks
		logged  int
	}{
		"before the answer": {func(http.ResponseWriter, *http.Request) { panic("SELECT secret") }, string(internalJSON), 1},
		"in the middle of it": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic("SELECT secret")
		}, "", 1},
		"to abort": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			listener, log := listenLocally(t), &logbook{}
			background(t, func(ctx context.Context) error { return HTTP(ctx, listener, tt.handler, logger(log)) })
			answer, err := http.Get("http://" + listener.Addr().String())
			body := []byte(nil)
			if err == nil {
				body, err = io.ReadAll(answer.Body)
				answer.Body.Close()
			}
			if tt.body == "" {
				if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
					t.Errorf("answered %q, %v; want a broken connection", body, err)
				}
			} else if string(body) != tt.body || answer.StatusCode != 500 || answer.Header.Get("Content-Type") != "application/json" {
				t.Errorf("answered %d %q, %v", answer.StatusCode, body, err)
			}
			if records := log.records(t); len(records) != tt.logged || tt.logged > 0 && records[0]["stack"] == nil {
				t.Errorf("logged %v", records)
			}
		})
	}
}
