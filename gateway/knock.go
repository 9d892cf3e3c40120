package gateway

import (
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/throttle"
)

// modest is the most bytes of a body that is read of anybody. What a call of one thing needs fits well.
const modest = 64 << 10

// knocker asks whether a caller's token is good before a larger body is read: one costs up to some ten times its bytes,
// and the service that is called says what it thinks of the token only when the body has been taken apart.
type knocker struct {
	mux       *runtime.ServeMux
	auth      authv1.CheckServiceClient
	strangers *throttle.Limiter
}

// handler refuses as the services do. Callers whose token was good at this gateway are not asked about again.
func (k *knocker) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A body whose length is not told is -1.
		if r.ContentLength >= 0 && r.ContentLength <= modest || k.strangers.Known(r) {
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

// knock reports nothing at all, with the token of a request. Whoever has a good one is told that this is no report, or
// that it is for other roles.
func (k *knocker) knock(r *http.Request) error {
	ctx, err := runtime.AnnotateContext(r.Context(), k.mux, r, authv1.CheckService_Report_FullMethodName)
	if err != nil {
		return err
	}
	_, err = k.auth.Report(ctx, &authv1.ReportRequest{})
	switch status.Code(err) {
	case codes.OK, codes.InvalidArgument, codes.PermissionDenied:
		return nil
	}
	return err
}
