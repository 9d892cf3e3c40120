package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/grpcserver"
	"github.com/keytrail/keytrail/internal/httpserver"
)

// streamRoute is the route of an RPC with a stream of responses. grpc-gateway has a handler for it, too, which would wrap each
// message in `result`.
type streamRoute[Request, Response any] struct {
	// rpc is the full name of the RPC, path its path in the contract, with `{workspace_id}` as the only field.
	rpc, path string
	open      func(context.Context, *Request, ...grpc.CallOption) (grpc.ServerStreamingClient[Response], error)
	// form returns how the response is written. It may change the request, e.g. by what a header says.
	form func(r *http.Request, request *Request) streamForm[Response]
	// file means that the response is kept as a file: if it fails, the connection is broken off, so that the client notices.
	file bool
}

// streamForm writes one response.
type streamForm[Response any] interface {
	// header sets the headers.
	header(http.Header)
	// message writes a message, and fail the error of a stream that failed after its first message.
	message(*bytes.Buffer, *Response)
	fail(*bytes.Buffer, *status.Status)
}

// pointer is a pointer to a message.
type pointer[T any] interface {
	*T
	proto.Message
}

// handleStream registers a route. The mux prefers it to the handler of the same path that was registered before.
func handleStream[Request, Response any, R pointer[Request]](mux *runtime.ServeMux, route streamRoute[Request, Response]) error {
	return mux.HandlePath(http.MethodGet, route.path, func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		request := new(Request)
		if err := readQuery(R(request), r, params); err != nil {
			runtime.HTTPError(r.Context(), mux, nil, w, r, err)
			return
		}
		stream, ctx, cancel := httpserver.NewStream(w, r)
		defer cancel()
		// It adds the token of the request.
		ctx, err := runtime.AnnotateContext(ctx, mux, r, route.rpc, runtime.WithHTTPPathPattern(route.path))
		if err != nil {
			runtime.HTTPError(ctx, mux, nil, w, r, err)
			return
		}
		form := route.form(r, request)
		messages, err := route.open(ctx, request)
		if err == nil {
			err = forward(ctx, stream, messages, form)
		}
		switch {
		case err == nil:
		case stream.Status() == 0:
			runtime.HTTPError(ctx, mux, nil, w, r, err)
		default:
			var end bytes.Buffer
			form.fail(&end, status.Convert(err))
			_ = stream.Send(end.Bytes()) // fails only if the client has gone
			if route.file {
				panic(http.ErrAbortHandler)
			}
		}
	})
}

// forward writes messages until the stream ends. The response begins with the first message: an error before it has its own
// status. An RPC that may wait for long has to send an empty message at once.
func forward[Response any](
	ctx context.Context, to *httpserver.Stream, messages grpc.ServerStreamingClient[Response], form streamForm[Response],
) error {
	var text bytes.Buffer
	for {
		m, err := messages.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && context.Cause(ctx) == httpserver.ErrStopping:
			return grpcserver.Status(fault.New(fault.ServerStopping, "the gateway is stopping")).Err()
		case err != nil:
			return err
		}
		if to.Status() == 0 {
			form.header(to.Header())
		}
		text.Reset()
		form.message(&text, m)
		if err := to.Send(text.Bytes()); err != nil {
			return err
		}
	}
}

// readQuery reads the path and the query of a request, as grpc-gateway does.
func readQuery(request proto.Message, r *http.Request, params map[string]string) error {
	const field = "workspace_id"
	err := runtime.PopulateFieldFromPath(request, field, params[field])
	if err == nil {
		err = r.ParseForm()
	}
	if err == nil {
		err = runtime.PopulateQueryParameters(request, r.Form, utilities.NewDoubleArray([][]string{{field}}))
	}
	if err != nil {
		return status.Errorf(codes.InvalidArgument, "%v", err)
	}
	return nil
}
