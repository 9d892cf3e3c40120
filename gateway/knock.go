package gateway

import (
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

// modest is the most bytes of a body that is read of anybody. What a call of one thing needs fits well.
const modest = 64 << 10

// knocker asks whether a caller's token is good before a larger body is read: one costs up to some ten times its bytes,
// and the service that is called says what it thinks of the token only when the body has been taken apart.
type knocker struct {
	mux  *runtime.ServeMux
	keys authv1.KeyServiceClient
}

// handler refuses as the services do.
func (k *knocker) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A body whose length is not told is -1.
		if r.ContentLength >= 0 && r.ContentLength <= modest {
			next.ServeHTTP(w, r)
			return
		}
		if err := k.knock(r); err != nil {
			_, marshaler := runtime.MarshalerForRequest(k.mux, r)
			runtime.HTTPError(r.Context(), k.mux, marshaler, w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// knock asks for the catalog, which a token of any role may read, with the token of a request.
func (k *knocker) knock(r *http.Request) error {
	ctx, err := runtime.AnnotateContext(r.Context(), k.mux, r, authv1.KeyService_GetCatalog_FullMethodName)
	if err != nil {
		return err
	}
	_, err = k.keys.GetCatalog(ctx, &authv1.GetCatalogRequest{})
	return err
}
