package serve

import (
	"context"
	"slices"

	"google.golang.org/grpc"
)

// RegisterService implements grpc.ServiceRegistrar. The code that protoc generates takes a request apart before any
// interceptor runs, and one of 4 MiB can become hundreds of MiB of messages: nobody who may not call gets that far.
// Streams need nothing of it: their interceptors come before their first message.
func (s *GRPC) RegisterService(desc *grpc.ServiceDesc, service any) {
	guarded := *desc
	guarded.Methods = slices.Clone(desc.Methods)
	for i, method := range guarded.Methods {
		guarded.Methods[i].Handler = s.enter("/"+desc.ServiceName+"/"+method.MethodName, method.Handler)
	}
	s.Server.RegisterService(&guarded, service)
}

// enter has the watchers and the gate look at a call before its request is taken apart.
func (s *GRPC) enter(method string, next grpc.MethodHandler) grpc.MethodHandler {
	answer := answerErrors(s.log)
	return func(service any, ctx context.Context, dec func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		info := &grpc.UnaryServerInfo{Server: service, FullMethod: method}
		handle := func(ctx context.Context, _ any) (any, error) {
			ctx, err := s.gate.Enter(ctx, method)
			if err != nil {
				return nil, err
			}
			inTime := func(into any) error { return receive(arrivalTime(method), dec, into) }
			return next(service, ctx, inTime, interceptor)
		}
		return s.watchers.Unary(ctx, nil, info, func(ctx context.Context, _ any) (any, error) {
			return answer(ctx, nil, info, handle)
		})
	}
}
