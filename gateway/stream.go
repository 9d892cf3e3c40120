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

// errStopping ends the streams of a gateway that stops.
var errStopping = grpcserver.Status(fault.New(fault.ServerStopping, "the gateway is stopping")).Err()

// handleStream registers a route. The mux prefers it to the handler of the same path that was registered before.
func handleStream[Request, Response any, R pointer[Request]](mux *runtime.ServeMux, route streamRoute[Request, Response]) error {
	return mux.HandlePath(http.MethodGet, route.path, func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		stream, ctx, cancel := httpserver.NewStream(w, r)
		defer cancel()
		request := new(Request)
		err := readQuery(R(request), r, params)
		form := route.form(r, request)
		if err == nil {
			err = route.serve(ctx, mux, r, request, stream, form)
		}
		if err != nil && context.Cause(ctx) == httpserver.ErrStopping {
			err = errStopping
		}
		switch {
		case err == nil:
		case stream.Status() == 0:
			runtime.HTTPError(r.Context(), mux, nil, w, r, err)
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

// serve calls the RPC, and writes its messages until it ends. The response begins with the first message: an error before it has
// its own status. An export sends nothing until its turn has come.
func (t streamRoute[Request, Response]) serve(
	ctx context.Context, mux *runtime.ServeMux, r *http.Request, request *Request,
	to *httpserver.Stream, form streamForm[Response],
) error {
	// It adds the token of the request.
	ctx, err := runtime.AnnotateContext(ctx, mux, r, t.rpc, runtime.WithHTTPPathPattern(t.path))
	if err != nil {
		return err
	}
	messages, err := t.open(ctx, request)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	for {
		m, err := messages.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
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
