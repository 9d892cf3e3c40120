// Package httpstatus sees how a handler answers.
package httpstatus

import "net/http"

// Writer keeps the status of the answer that passes through it.
type Writer struct {
	http.ResponseWriter
	status int
}

// Status is the status of the answer; 0 = nothing of it has been written.
func (w *Writer) Status() int { return w.status }

// WriteHeader implements http.ResponseWriter.
func (w *Writer) WriteHeader(status int) {
	// Those below 200 announce an answer, and are none.
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *Writer) Write(body []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(body)
}

// Unwrap is for http.ResponseController, which flushes streams.
func (w *Writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
