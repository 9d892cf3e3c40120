package client

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// sendfile is a writer of net/http: it reads a body by itself.
type sendfile struct {
	*httptest.ResponseRecorder
	read bool
}

func (w *sendfile) ReadFrom(content io.Reader) (int64, error) {
	w.read = true
	return io.Copy(w.ResponseRecorder, content)
}

func TestBodyIsReadByTheWriterOfTheServer(t *testing.T) {
	t.Parallel()
	server := &sendfile{ResponseRecorder: httptest.NewRecorder()}
	w := &response{ResponseWriter: server}
	body := struct{ io.Reader }{strings.NewReader(strings.Repeat("x", sendBuffer+1))} // without io.WriterTo, like a file
	if n, err := io.Copy(w, body); n != sendBuffer+1 || err != nil || !server.read {
		t.Errorf("%d bytes, %v; read by the server: %t", n, err, server.read)
	}
	if got := w.outcome(t.Context(), false); got != http.StatusOK {
		t.Errorf("status %d after a panic, although a part was sent", got)
	}
}

// plain is a writer that can only write.
type plain struct{ http.ResponseWriter }

func TestResponseThatCannotBeFlushedIsNotSent(t *testing.T) {
	t.Parallel()
	w := &response{ResponseWriter: plain{httptest.NewRecorder()}}
	w.Flush()
	if _, _, err := w.Hijack(); err == nil || w.sent {
		t.Errorf("hijack: %v; sent: %t", err, w.sent)
	}
	if got := w.outcome(ended(), true); got != statusClientGone {
		t.Errorf("status %d", got)
	}
}
