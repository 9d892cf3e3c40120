package telemetry

import (
	"context"
	"testing"

	"google.golang.org/grpc"
)

// BenchmarkInterceptor measures the metrics of an RPC.
func BenchmarkInterceptor(b *testing.B) {
	p, err := New("test", "v1")
	if err != nil {
		b.Fatal(err)
	}
	count := p.rpcs.UnaryServerInterceptor()
	info := &grpc.UnaryServerInfo{FullMethod: "/keytrail.auth.v1.CheckService/Check"}
	next := func(context.Context, any) (any, error) { return nil, nil }
	b.ReportAllocs()
	for b.Loop() {
		if _, err := count(b.Context(), nil, info, next); err != nil {
			b.Fatal(err)
		}
	}
}
