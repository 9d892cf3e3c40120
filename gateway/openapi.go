package gateway

import (
	"net/http"

	"github.com/keytrail/keytrail/gen"
)

// openAPIPath is the path of the OpenAPI document.
const openAPIPath = "/openapi.json"

// withOpenAPI serves the OpenAPI document, and next every other path.
func withOpenAPI(next http.Handler) http.Handler {
	openAPI := newDocument(gen.OpenAPI, "application/json", revalidated, nil)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != openAPIPath {
			next.ServeHTTP(w, r)
			return
		}
		openAPI.serve(w, r, openAPIPath)
	})
}
