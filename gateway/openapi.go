package gateway

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/keytrail/keytrail/gen"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/telemetry"
)

// openAPIPath is where the description of the REST routes is. It is public: no token is needed.
const openAPIPath = "/openapi.json"

// withOpenAPI serves the OpenAPI document, and leaves every other path to next.
func withOpenAPI(next http.Handler) http.Handler {
	tag := fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256(gen.OpenAPI)))
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
		header := w.Header()
		// Caches may keep it, and ask every time whether it is still the same.
		header.Set("Cache-Control", "no-cache")
		header.Set("ETag", tag)
		if hasTag(r.Header.Values("If-None-Match"), tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		header.Set("Content-Type", "application/json")
		header.Set("Content-Length", strconv.Itoa(len(gen.OpenAPI)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(gen.OpenAPI) // the caller is gone: nobody to tell
		}
	})
}

// hasTag reports whether If-None-Match lists a tag. http.ServeContent would also heed ranges and other conditions, whose
// errors it answers in plain text.
func hasTag(fields []string, tag string) bool {
	for listed := range strings.SplitSeq(strings.Join(fields, ","), ",") {
		listed = strings.TrimSpace(listed)
		if listed == "*" || strings.TrimPrefix(listed, "W/") == tag {
			return true
		}
	}
	return false
}
