package throttle

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Reason is what a refused caller is told.
const Reason = "too many calls from this address without a valid token: wait"

// Unary limits RPCs with one request. It must come before whatever verifies credentials.
func (l *Limiter) Unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (answer any, err error) {
	err = l.grpc(ctx, info.FullMethod, func() error {
		answer, err = next(ctx, request)
		return err
	})
	return answer, err
}

// Stream limits RPCs with streams. It must come before whatever verifies credentials.
func (l *Limiter) Stream(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	return l.grpc(stream.Context(), info.FullMethod, func() error { return next(service, stream) })
}

func (l *Limiter) grpc(ctx context.Context, method string, next func() error) error {
	from, limited := stranger(ctx)
	// Health and reflection are open: that they answer proves nothing.
	if !limited || strings.HasPrefix(method, "/grpc.") {
		return next()
	}
	credential := ""
	if values := metadata.ValueFromIncomingContext(ctx, "authorization"); len(values) > 0 {
		credential = values[0]
	}
	a := l.attempt(from, credential)
	if wait := l.wait(a); wait > 0 {
		return refusal(wait)
	}
	err := next()
	switch status.Code(err) {
	case codes.OK:
		l.succeeded(a)
	case codes.Unauthenticated:
		l.failedOnce(a)
	}
	return err
}

// stranger answers the address of a caller that is limited. The other parts of the process are not: the gateway
// limits by the addresses of its own callers. Nor is whoever has shown a certificate of the operator's authority, as a
// gateway in a process of its own does with mutual TLS.
func stranger(ctx context.Context) (netip.Addr, bool) {
	caller, ok := peer.FromContext(ctx)
	if !ok {
		return netip.Addr{}, false
	}
	if secured, ok := caller.AuthInfo.(credentials.TLSInfo); ok && len(secured.State.VerifiedChains) > 0 {
		return netip.Addr{}, false
	}
	addr, ok := caller.Addr.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	return addr.AddrPort().Addr(), true
}

func refusal(wait time.Duration) error {
	st := status.New(codes.ResourceExhausted, Reason)
	if detailed, err := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(wait)}); err == nil {
		st = detailed
	}
	return st.Err()
}
