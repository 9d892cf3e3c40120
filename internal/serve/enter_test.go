package serve

import (
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/fault"
)

// wire is sent in place of the request.
type wire []byte

// Marshal implements encoding.CodecV2.
func (w wire) Marshal(any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(w)}, nil
}

// Unmarshal implements encoding.CodecV2.
func (wire) Unmarshal(mem.BufferSlice, any) error { return nil }

// Name implements encoding.CodecV2.
func (wire) Name() string { return "proto" }

// TestRequestIsNotTakenApartForAStranger sends what cannot be taken apart: only who tries finds out.
func TestRequestIsNotTakenApartForAStranger(t *testing.T) {
	w := newWorld(t, &keys{})
	bare, err := w.dial()
	must(t, err)
	defer bare.Close()
	send := func(conn *grpc.ClientConn) error {
		return conn.Invoke(t.Context(), authv1.KeyService_GetKey_FullMethodName, someKey, &authv1.GetKeyResponse{}, grpc.ForceCodecV2(wire("\xff\xff\xff")))
	}
	if err := send(bare); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without a token: %v, want UNAUTHENTICATED", err)
	}
	stream, err := w.conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, grpc_health_v1.Health_Watch_FullMethodName, grpc.ForceCodecV2(wire("\xff")))
	must(t, err)
	must(t, stream.SendMsg(someKey))
	must(t, stream.CloseSend())
	expectReason(t, "of a stream", stream.RecvMsg(nil), codes.InvalidArgument, fault.RequestMalformed)
	expectReason(t, "with a token", send(w.conn), codes.InvalidArgument, fault.RequestMalformed)
}
