package httpserver

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// ErrStopping is the cause of the end of a stream's context when the server stops.
var ErrStopping = errors.New("the HTTP server is stopping")

// stoppingKey is the key, in the context of a request, of the context that ends when the server stops.
type stoppingKey struct{}

// Stream is a response that lasts as long as it takes: not the whole has a time limit, but each write.
type Stream struct {
	StatusRecorder
	controller *http.ResponseController
}

// NewStream turns the response to a request that has no body into a stream. The context ends with the request: when the client
// goes away, and when the server stops. The caller must call cancel.
func NewStream(w http.ResponseWriter, r *http.Request) (s *Stream, ctx context.Context, cancel context.CancelFunc) {
	s = &Stream{StatusRecorder: StatusRecorder{ResponseWriter: w}, controller: http.NewResponseController(w)}
	ctx, cancelCause := context.WithCancelCause(r.Context())
	stop := func() bool { return false }
	if stopping, ok := r.Context().Value(stoppingKey{}).(context.Context); ok {
		stop = context.AfterFunc(stopping, func() { cancelCause(ErrStopping) })
	}
	return s, ctx, func() { stop(); cancelCause(nil) }
}

// Send writes and flushes. It returns an error if the client has gone, or has not read for two minutes.
func (s *Stream) Send(text []byte) error {
	_ = s.controller.SetWriteDeadline(time.Now().Add(responseTimeout)) // fails only if the connection is closed
	if _, err := s.Write(text); err != nil {
		return err
	}
	return s.controller.Flush()
}
