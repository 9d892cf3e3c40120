package gateway

import (
	"errors"
	"io"
)

const (
	// maxObjects is the most objects in a body: a report of 1,000 outcomes has 2,001, and as many again for what is to come.
	maxObjects = 4 << 10
	// maxCommas is the most commas between values: such a report has 17,000.
	maxCommas = 64 << 10
)

var (
	errObjects = errors.New("the body has too many objects")
	errValues  = errors.New("the body has too many values")
)

// frugal counts what the JSON that is read through it is made of, because all of it is taken apart before a service has
// said whether the caller may call. Each object becomes a message, of some hundreds of bytes even if it is empty, and
// each string of a list takes more than the three bytes of `"",`.
type frugal struct {
	from            io.Reader
	objects, commas int
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
		case c == ',':
			f.commas++
		}
	}
	if f.objects > maxObjects {
		return 0, errObjects
	}
	if f.commas > maxCommas {
		return 0, errValues
	}
	return n, err
}
