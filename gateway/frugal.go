package gateway

import (
	"errors"
	"io"
)

// maxObjects is the most objects in a body: a report of 1,000 outcomes has 2,001, and as many again for what is to come.
const maxObjects = 4 << 10

var errObjects = errors.New("the body has too many objects")

// frugal counts the objects of the JSON that is read through it. Each becomes a message, of some hundreds of bytes even
// if it is empty, and that before a service has said whether the caller may call.
type frugal struct {
	from    io.Reader
	objects int
	// inString and escaped are where the last read has ended.
	inString, escaped bool
}

// Read implements io.Reader.
func (f *frugal) Read(into []byte) (int, error) {
	n, err := f.from.Read(into)
	for _, c := range into[:n] {
		switch {
		case f.escaped:
			f.escaped = false
		case f.inString:
			f.escaped, f.inString = c == '\\', c != '"'
		case c == '"':
			f.inString = true
		case c == '{':
			f.objects++
		}
	}
	if f.objects > maxObjects {
		return 0, errObjects
	}
	return n, err
}
