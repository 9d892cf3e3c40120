package gateway

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/telemetry"
)

// The values of Cache-Control for documents.
const (
	revalidated = "no-cache" // caches may store it, but must revalidate it
	immutable   = "public, max-age=31536000, immutable"
)

// document is a response that is the same for every caller. It needs no token.
type document struct {
	contentType, cacheControl string
	// header has further headers, which may be those of securityHeaders.
	header map[string]string
	// plain and compressed are the same content. It is compressed when it is requested first: a start does not wait for it.
	plain      content
	compressed func() content
}

// content is a body with its entity tag.
type content struct {
	body []byte
	tag  string
}

func newContent(body []byte) content {
	return content{body, fmt.Sprintf(`"%x"`, sha256.Sum256(body))}
}

func newDocument(body []byte, contentType, cacheControl string, header map[string]string) *document {
	compressed := sync.OnceValue(func() content { return newContent(compress(body)) })
	return &document{contentType, cacheControl, header, newContent(body), compressed}
}

func compress(body []byte) []byte {
	var buffer bytes.Buffer
	// These cannot fail: the level is valid, and a buffer takes everything.
	compressor, _ := gzip.NewWriterLevel(&buffer, gzip.BestCompression)
	_, _ = compressor.Write(body)
	_ = compressor.Close()
	return buffer.Bytes()
}

// serve responds to a request for the document. The route is its path as metrics name it.
func (d *document) serve(w http.ResponseWriter, r *http.Request, route string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		writeFault(w, r, fault.New(fault.MethodUnknown, "%s is not a method of this path", r.Method))
		return
	}
	telemetry.SetRoute(r.Context(), r.Method+" "+route)
	// ServeContent would respond to these with errors in plain text.
	for _, condition := range []string{"Range", "If-Match", "If-Unmodified-Since"} {
		r.Header.Del(condition)
	}
	header, sent := w.Header(), d.plain
	if acceptsGzip(r.Header) {
		sent = d.compressed()
		header.Set("Content-Encoding", "gzip")
		header.Set("Content-Length", strconv.Itoa(len(sent.body))) // ServeContent leaves it out of compressed responses
	}
	for name, value := range d.header {
		header.Set(name, value)
	}
	header.Add("Vary", "Accept-Encoding")
	header.Set("Cache-Control", d.cacheControl)
	header.Set("Content-Type", d.contentType)
	header.Set("ETag", sent.tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(sent.body))
}

// acceptsGzip reports whether Accept-Encoding permits gzip (RFC 9110, section 12.5.3).
func acceptsGzip(header http.Header) bool {
	other := false
	for coding := range strings.SplitSeq(strings.Join(header.Values("Accept-Encoding"), ","), ",") {
		name, weight, _ := strings.Cut(strings.ToLower(coding), ";")
		permitted := true
		if q, ok := strings.CutPrefix(strings.TrimSpace(weight), "q="); ok {
			value, err := strconv.ParseFloat(q, 64)
			permitted = err == nil && value > 0
		}
		switch strings.TrimSpace(name) {
		case "gzip":
			return permitted
		case "*":
			other = permitted
		}
	}
	return other
}
