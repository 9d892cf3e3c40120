package serve

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/keytrail/keytrail/internal/httpstatus"
)

// How long a client may take, however slowly it speaks: for the headers of a request, which include the handshake of
// TLS, for the whole of it, for taking the answer, and between two requests.
const (
	headerTime  = 5 * time.Second
	requestTime = 30 * time.Second
	answerTime  = 2 * time.Minute
	idleTime    = 2 * time.Minute
)

// maxHTTPHeaders is the most bytes of the headers of a request.
const maxHTTPHeaders = 64 << 10

// HTTP serves handler on the listener until ctx ends, then lets requests in flight end. It answers nil after an
// orderly stop; requests that stalled and were cut off do not make it another.
func HTTP(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           recovered(handler, log),
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       requestTime,
		WriteTimeout:      answerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHTTPHeaders,
		ErrorLog:          stdlog.New(httpLog{log}, "", 0),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		log.WarnContext(ctx, "requests were cut off at shutdown", "after", drainTime, "error", errors.Join(err, server.Close()))
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	return nil
}

// recovered answers the panics of a handler: the client learns nothing of them, and the stack is logged.
func recovered(next http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &httpstatus.Writer{ResponseWriter: w}
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p != http.ErrAbortHandler {
				log.ErrorContext(r.Context(), "panic", "method", r.Method, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			}
			if p == http.ErrAbortHandler || answer.Status() != 0 {
				// Half an answer must not look like a whole one.
				panic(http.ErrAbortHandler)
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write(internalJSON) // the caller is gone: nobody to tell
		}()
		next.ServeHTTP(answer, r)
	})
}

// internalJSON is what REST answers where gRPC answers internal. A status always marshals.
var internalJSON, _ = protojson.Marshal(status.Convert(internal).Proto())
