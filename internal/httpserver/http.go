// Package httpserver serves HTTP with timeouts and limits, and has the handler of the ops port.
package httpserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"
)

const (
	// headerTimeout includes the TLS handshake, requestTimeout the headers and the body.
	headerTimeout   = 5 * time.Second
	requestTimeout  = 30 * time.Second
	responseTimeout = 2 * time.Minute
	idleTimeout     = 2 * time.Minute
	maxHeaderBytes  = 64 << 10
	// drainTimeout is how long the requests in flight may take at shutdown. See grpcserver.
	drainTimeout = 1500 * time.Millisecond
)

// Serve serves handler on the listener until ctx ends, then ends streams and lets other requests in flight finish. It returns
// nil after an orderly stop, even if stalled requests were cut off.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      responseTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          stdlog.New(errorLog{log}, "", 0),
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.WithoutCancel(ctx), stoppingKey{}, ctx)
		},
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		log.WarnContext(ctx, "requests in flight were cut off at shutdown", "after", drainTimeout, "error", errors.Join(err, server.Close()))
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	return nil
}

// errorLog is the error log of net/http.
type errorLog struct{ log *slog.Logger }

// connectionErrors are the prefixes of lines about a single connection. They are logged at the debug level, because
// anyone who can connect could flood the log with them.
var connectionErrors = [][]byte{[]byte("http: TLS handshake error"), []byte("http2: "), []byte("timeout waiting for SETTINGS frames")}

// Write implements io.Writer.
func (l errorLog) Write(line []byte) (int, error) {
	level := slog.LevelWarn
	if slices.ContainsFunc(connectionErrors, func(prefix []byte) bool { return bytes.HasPrefix(line, prefix) }) {
		level = slog.LevelDebug
	}
	l.log.Log(context.Background(), level, string(bytes.TrimSpace(line)))
	return len(line), nil
}

// StatusRecorder is a response writer that records the status.
type StatusRecorder struct {
	http.ResponseWriter
	status int
}

// Status returns the status of the response; 0 = nothing has been written.
func (r *StatusRecorder) Status() int { return r.status }

// WriteHeader implements http.ResponseWriter.
func (r *StatusRecorder) WriteHeader(status int) {
	// 1xx responses are informational; wait for the final status.
	if r.status == 0 && status >= 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *StatusRecorder) Write(body []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(body)
}

// Unwrap lets http.ResponseController flush streams.
func (r *StatusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
