package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/grpcserver"
)

// maxBodyBytes is the maximum size of a request body. JSON is larger than the encoded message, which its service limits.
const maxBodyBytes = 4 << 20

var (
	errRequestLate  = fault.New(fault.RequestLate, "the body did not arrive in time")
	errBodyTooLarge = fault.New(fault.BodyTooLarge, "the body has more than %d bytes: send less at a time", maxBodyBytes)
)

// authenticate verifies the token of a request and its role before its body is read: decoding a body can take many times its
// size. The services verify them again, and the workspaces.
func (rs routes) authenticate(authorizer *access.Authorizer, observe grpc.UnaryServerInterceptor) runtime.Middleware {
	return func(next runtime.HandlerFunc) runtime.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
			if err := authenticate(r.Context(), authorizer, observe, rs.of(r).rpc, r.Header.Values("Authorization")); err != nil {
				writeFault(w, r, err)
				return
			}
			next(w, r, params)
		}
	}
}

// authenticate verifies the token in the values of an Authorization header, and its role. A refusal is counted as a call of the
// RPC, unless the keys of the token's issuer could not be fetched: anyone can cause any number of those, and an alert fires on
// UNAVAILABLE.
func authenticate(
	ctx context.Context, authorizer *access.Authorizer, observe grpc.UnaryServerInterceptor, rpc string, authorization []string,
) error {
	_, err := authorizer.Authenticate(ctx, rpc, authorization)
	if err == nil {
		return nil
	}
	if refused := grpcserver.Status(err); observe != nil && refused.Code() != codes.Unavailable {
		refuse := func(context.Context, any) (any, error) { return nil, refused.Err() }
		_, _ = observe(ctx, nil, &grpc.UnaryServerInfo{FullMethod: rpc}, refuse) // the error is err
	}
	return err
}

// limitBody limits the body of a request.
func limitBody(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		if r.ContentLength > maxBodyBytes {
			writeFault(w, r, errBodyTooLarge)
			return
		}
		r.Body = &body{ReadCloser: http.MaxBytesReader(w, r.Body, maxBodyBytes)}
		next(w, r, params)
	}
}

// body keeps the error of a failed read: grpc-gateway passes on its text only.
type body struct {
	io.ReadCloser
	err error
}

// Read implements io.Reader.
func (b *body) Read(into []byte) (int, error) {
	n, err := b.ReadCloser.Read(into)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// bodyError returns the fault because of which the body of a request could not be read, or nil.
func bodyError(r *http.Request) error {
	b, ok := r.Body.(*body)
	if !ok {
		return nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](b.err); ok {
		return errBodyTooLarge
	}
	if errors.Is(b.err, os.ErrDeadlineExceeded) {
		return errRequestLate
	}
	return nil
}
