package httpserver

import "net/http"

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
