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
	s.limitWrite(time.Time{})
	return s, ctx, func() { stop(); cancelCause(nil); s.limitWrite(time.Now().Add(responseTimeout)) }
}

// Send writes and flushes. It returns an error if the client has gone, or has not read for two minutes.
func (s *Stream) Send(text []byte) error {
	s.limitWrite(time.Now().Add(responseTimeout))
	defer s.limitWrite(time.Time{})
	if _, err := s.Write(text); err != nil {
		return err
	}
	return s.controller.Flush()
}

// limitWrite sets the deadline of the writes that follow; zero = none. Between writes there must be none, because HTTP/2 resets a
// stream when it passes, also without a write.
func (s *Stream) limitWrite(deadline time.Time) {
	_ = s.controller.SetWriteDeadline(deadline) // fails only if the connection is closed
}
