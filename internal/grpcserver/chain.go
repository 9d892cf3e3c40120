package grpcserver

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/fault"
)

// chain is what every call passes, in this order:
//
//  1. instrumentation, which sees the status that the caller gets
//  2. finish: recovery from panics, and the error table
//  3. authentication: the token and its role, from the headers alone
//  4. receiving, unpacking and decoding of the request
//  5. authorization: the workspaces of the request
//  6. validation: the rules of the contract
//  7. the handler
//
// A request is received after step 3, because one of 4 KiB can be unpacked to 4 MiB, and be decoded to 200 MiB of messages.
// The end of a refused call is sent at once; what its caller still sends is dropped as it arrives.
type chain struct {
	authorizer    *access.Authorizer
	observeUnary  grpc.UnaryServerInterceptor
	observeStream grpc.StreamServerInterceptor
	validator     protovalidate.Validator
	log           *slog.Logger
	pace          *pace
}

// newChain returns a chain. stopping ends when the server stops.
func newChain(stopping context.Context, config Config) (*chain, error) {
	validator, err := protovalidate.New()
	if err != nil {
		return nil, fmt.Errorf("build the validator: %w", err)
	}
	c := &chain{
		authorizer: config.Authorizer, validator: validator, log: config.Log, pace: newPace(stopping),
		observeUnary: config.Instrumentation.Unary, observeStream: config.Instrumentation.Stream,
	}
	if c.observeUnary == nil {
		c.observeUnary = func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			return next(ctx, request)
		}
	}
	if c.observeStream == nil {
		c.observeStream = func(service any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			return next(service, stream)
		}
	}
	return c, nil
}

// RegisterService implements grpc.ServiceRegistrar. It wraps each unary method in the chain, because generated code
// receives the request before it calls an interceptor. grpc.InTapHandle runs early enough, too, but grpc-go (1.85) does not
// release the timer of a call that it refuses: callers without a token could fill the memory (450 bytes a call, until a
// deadline that they choose). Streams need neither: their interceptors run before the first message.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, service any) {
	chained := *desc
	chained.Methods = slices.Clone(desc.Methods)
	for i, method := range desc.Methods {
		chained.Methods[i].Handler = s.chain.unary("/"+desc.ServiceName+"/"+method.MethodName, method.Handler)
	}
	s.Server.RegisterService(&chained, service)
}

// unary is the chain of a unary RPC.
func (c *chain) unary(method string, decodeAndCall grpc.MethodHandler) grpc.MethodHandler {
	return func(service any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		info := &grpc.UnaryServerInfo{Server: service, FullMethod: method}
		return c.observeUnary(ctx, nil, info, func(ctx context.Context, _ any) (_ any, err error) {
			defer c.finish(ctx, method, &err)
			ctx, err = c.authenticate(ctx, method)
			if err != nil {
				return nil, err
			}
			if _, known := access.FromContext(ctx); !known {
				decode = leaveUnread
			}
			return decodeAndCall(service, ctx, decode, c.callChecked)
		})
	}
}

func (c *chain) authenticate(ctx context.Context, method string) (context.Context, error) {
	if c.pace.refusing.Load() {
		if err, ok := ctx.Value(refusal{}).(error); ok { // verified by tap
			return ctx, err
		}
	}
	ctx, err := c.authorizer.Authenticate(ctx, method, metadata.ValueFromIncomingContext(ctx, "authorization"))
	if err != nil {
		c.pace.refused()
	}
	return ctx, err
}

// leaveUnread leaves the request of an RPC that needs no token empty: whoever sends it could hold the memory of its largest
// message, by never sending the last byte.
func leaveUnread(any) error { return nil }

// callChecked implements grpc.UnaryServerInterceptor. It runs between the decoding and the handler.
func (c *chain) callChecked(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := c.check(ctx, request); err != nil {
		return nil, err
	}
	return handler(ctx, request)
}

// stream is the chain of a streaming RPC.
func (c *chain) stream(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return c.observeStream(service, stream, info, func(service any, stream grpc.ServerStream) (err error) {
		ctx := stream.Context()
		defer c.finish(ctx, info.FullMethod, &err)
		ctx, err = c.authenticate(ctx, info.FullMethod)
		if err != nil {
			return err
		}
		ctx, cancel := withTokenDeadline(ctx)
		defer cancel()
		err = handler(service, &checkedStream{ServerStream: stream, ctx: ctx, chain: c})
		if err != nil && context.Cause(ctx) == errTokenExpired {
			return errTokenExpired
		}
		return err
	})
}

// checkedStream checks every request of a stream.
type checkedStream struct {
	grpc.ServerStream
	ctx   context.Context
	chain *chain
}

// Context ends with the stream, with the token of its caller and with the server.
func (s *checkedStream) Context() context.Context { return s.ctx }

// RecvMsg implements grpc.ServerStream.
func (s *checkedStream) RecvMsg(request any) error {
	if err := s.ServerStream.RecvMsg(request); err != nil {
		return err
	}
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	return s.chain.check(s.ctx, request)
}

// check decides whether a decoded request reaches its handler.
func (c *chain) check(ctx context.Context, request any) error {
	message, ok := request.(proto.Message)
	if ok && bytes.Equal(message.ProtoReflect().GetUnknown(), malformedMark) {
		return errMalformed
	}
	if err := access.Authorize(ctx, request); err != nil || !ok {
		return err
	}
	return c.validate(message)
}

// finish turns a panic or an error of a call into the status that the caller gets. It must be deferred itself, because it
// calls recover.
func (c *chain) finish(ctx context.Context, method string, err *error) {
	if p := recover(); p != nil {
		c.log.ErrorContext(ctx, "panic", "rpc", method, "panic", p, "stack", string(debug.Stack()))
		*err = errInternal
	} else if *err != nil {
		*err = c.toStatus(ctx, method, *err)
	}
}

var errMalformed = fault.New(fault.RequestMalformed, "the request is not the message that the contract asks for, or a string in it is not UTF-8")
