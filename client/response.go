package client

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
)

// response is a http.ResponseWriter that keeps the status of the response. It has every method that a handler may look for by a
// type assertion in a writer of net/http, but Push, which browsers have given up. http.ResponseController finds the others by
// Unwrap.
type response struct {
	http.ResponseWriter
	// status is that of the response; 0 before it is set.
	status int
	// written is how many bytes of the body were written.
	written int64
	// sent is set when a part of the response has been sent for sure.
	sent bool
}

// sendBuffer is how much of a response net/http holds back until the handler returns or flushes.
const sendBuffer = 4 << 10

// outcome returns the status that the caller got. returned is unset after a panic.
func (w *response) outcome(ctx context.Context, returned bool) int {
	switch {
	case w.sent || w.written > sendBuffer:
		return w.status
	case isGone(ctx):
		return statusClientGone
	case !returned:
		return http.StatusInternalServerError
	case w.status == 0:
		return http.StatusOK
	}
	return w.status
}

// setStatus sets the status if it is not set.
func (w *response) setStatus(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// WriteHeader implements http.ResponseWriter. Informational headers come before the response, but 101 is one.
func (w *response) WriteHeader(status int) {
	w.ResponseWriter.WriteHeader(status) // it panics if there is no such status
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		w.setStatus(status)
	}
}

// Write implements http.ResponseWriter.
func (w *response) Write(content []byte) (int, error) {
	w.setStatus(http.StatusOK)
	n, err := w.ResponseWriter.Write(content)
	w.written += int64(n)
	return n, err
}

// WriteString implements io.StringWriter.
func (w *response) WriteString(content string) (int, error) {
	w.setStatus(http.StatusOK)
	n, err := io.WriteString(w.ResponseWriter, content)
	w.written += int64(n)
	return n, err
}

// ReadFrom implements io.ReaderFrom. net/http sends a file without copying it through the program (sendfile). If nothing could be
// read, the status is still open.
func (w *response) ReadFrom(content io.Reader) (int64, error) {
	n, err := io.Copy(w.ResponseWriter, content)
	if n > 0 {
		w.setStatus(http.StatusOK)
	}
	w.written += n
	return n, err
}

// Flush implements http.Flusher.
func (w *response) Flush() { _ = w.FlushError() }

// FlushError is what http.ResponseController calls.
func (w *response) FlushError() error {
	err := http.NewResponseController(w.ResponseWriter).Flush()
	if err == nil {
		w.setStatus(http.StatusOK)
		w.sent = true
	}
	return err
}

// Hijack implements http.Hijacker. It fails if the connection cannot be hijacked, as with HTTP/2.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.setStatus(http.StatusSwitchingProtocols)
		w.sent = true
	}
	return conn, buffered, err
}

// CloseNotify implements http.CloseNotifier, which is deprecated, but which gin requires of every writer.
func (w *response) CloseNotify() <-chan bool {
	if writer, ok := w.ResponseWriter.(interface{ CloseNotify() <-chan bool }); ok {
		return writer.CloseNotify()
	}
	return nil // never
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }
