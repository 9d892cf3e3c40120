package gateway

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"time"

	"github.com/keytrail/keytrail/gen"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/telemetry"
)

// openAPIPath is the path of the OpenAPI document. It needs no token.
const openAPIPath = "/openapi.json"

// withOpenAPI serves the OpenAPI document, and next every other path.
func withOpenAPI(next http.Handler) http.Handler {
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256(gen.OpenAPI))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != openAPIPath {
			next.ServeHTTP(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			writeFault(w, r, fault.New(fault.MethodUnknown, "%s is not a method of this path", r.Method))
			return
		}
		telemetry.SetRoute(r.Context(), r.Method+" "+openAPIPath)
		// ServeContent would respond to these with errors in plain text.
		for _, condition := range []string{"Range", "If-Match", "If-Unmodified-Since"} {
			r.Header.Del(condition)
		}
		w.Header().Set("Cache-Control", "no-cache") // caches may store it, but must revalidate it
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("ETag", tag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(gen.OpenAPI))
	})
}
