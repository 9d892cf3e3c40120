package gateway

import (
	"errors"
	"io"
	"net/http"
	"os"

	"github.com/keytrail/keytrail/internal/fault"
)

const (
	// maxBody is the most bytes of a request body: what a gRPC message may have, too.
	maxBody = 4 << 20
	// maxObjects is the most objects in a body: a report of 1,000 outcomes has 1,001, and there is room for what is to come.
	maxObjects = 4 << 10
	// maxCommas is the most commas between values: such a report has some 3,000, a key with the longest lists 1,100.
	maxCommas = 64 << 10
)

var (
	errLate     = fault.New(fault.RequestLate, "the body did not arrive in time")
	errTooLarge = fault.New(fault.BodyTooLarge, "the body has more than %d bytes: send less at a time", maxBody)
	errObjects  = fault.New(fault.RequestTooComplex, "the body has more than %d objects: send less at a time", maxObjects)
	errValues   = fault.New(fault.RequestTooComplex, "the body has more than %d values: send less at a time", maxCommas)
)

// boundBody bounds the bodies of requests. They are decoded before a service has said whether the caller may call.
func boundBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > maxBody {
			writeFault(w, r, errTooLarge)
			return
		}
		r.Body = &body{from: http.MaxBytesReader(w, r.Body, maxBody)}
		next.ServeHTTP(w, r)
	})
}

// body counts the JSON that is read through it. Each object becomes a message of some hundreds of bytes even if it is
// empty, and each string of a list takes more than the three bytes of `"",`.
type body struct {
	from            io.ReadCloser
	objects, commas int
	// inString and escaped are the state at the end of the last read.
	inString, escaped bool
	// refused is why the body is not read any further. grpc-gateway keeps the text of an error only.
	refused error
}

// refusal returns the fault for which the body of a request was refused; nil if it was not.
func refusal(r *http.Request) error {
	if b, ok := r.Body.(*body); ok {
		return b.refused
	}
	return nil
}

// Read implements io.Reader.
func (b *body) Read(into []byte) (int, error) {
	if b.refused != nil {
		return 0, b.refused
	}
	n, err := b.from.Read(into)
	b.count(into[:n])
	_, large := errors.AsType[*http.MaxBytesError](err)
	switch {
	case large:
		b.refused = errTooLarge
	case b.objects > maxObjects:
		b.refused = errObjects
	case b.commas > maxCommas:
		b.refused = errValues
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.refused = errLate
	}
	if b.refused != nil {
		return 0, b.refused
	}
	return n, err
}

func (b *body) count(text []byte) {
	for _, c := range text {
		switch {
		case b.escaped:
			b.escaped = false
		case b.inString:
			b.escaped, b.inString = c == '\\', c != '"'
		case c == '"':
			b.inString = true
		case c == '{':
			b.objects++
		case c == ',':
			b.commas++
		}
	}
}

// Close implements io.Closer.
func (b *body) Close() error { return b.from.Close() }
