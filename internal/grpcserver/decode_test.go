package grpcserver

import (
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/fault"
)

// rawCodec sends its bytes in place of the request.
type rawCodec []byte

// Marshal implements encoding.CodecV2.
func (w rawCodec) Marshal(any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(w)}, nil
}

// Unmarshal implements encoding.CodecV2.
func (rawCodec) Unmarshal(mem.BufferSlice, any) error { return nil }

// Name implements encoding.CodecV2.
func (rawCodec) Name() string { return "proto" }

// TestRequestIsNotDecodedWithoutAToken sends a request that cannot be decoded: the error shows whether the server decodes it.
func TestRequestIsNotDecodedWithoutAToken(t *testing.T) {
	f := newFixture(t, &keys{})
	bare, err := f.dial()
	must(t, err)
	defer bare.Close()
	send := func(conn *grpc.ClientConn) error {
		return conn.Invoke(t.Context(), authv1.KeyService_GetKey_FullMethodName, validRequest, &authv1.GetKeyResponse{}, grpc.ForceCodecV2(rawCodec("\xff\xff\xff")))
	}
	if err := send(bare); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without a token: %v, want UNAUTHENTICATED", err)
	}
	stream, err := f.conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, grpc_health_v1.Health_Watch_FullMethodName, grpc.ForceCodecV2(rawCodec("\xff")))
	must(t, err)
	must(t, stream.SendMsg(validRequest))
	must(t, stream.CloseSend())
	expectReason(t, "of a stream", stream.RecvMsg(nil), codes.InvalidArgument, fault.RequestMalformed)
	expectReason(t, "with a token", send(f.conn), codes.InvalidArgument, fault.RequestMalformed)
}

// inField returns bytes as a field of a message.
func inField(number protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), content)
}

// TestLargestRequestsOfTheContractFit: the limits must not be below the rules of the contract.
func TestLargestRequestsOfTheContractFit(t *testing.T) {
	now, batch, report := timestamppb.Now(), &logsv1.RecordRequestLogsRequest{}, &authv1.ReportRequest{}
	for range 5000 {
		batch.Records = append(batch.Records, &logsv1.RequestLogRecord{RequestLog: &logsv1.RequestLog{
			Id: validRequest.GetKeyId(), Time: now, Endpoint: strings.Repeat("/", 700),
		}})
	}
	for range 1000 {
		report.Outcomes = append(report.Outcomes, &authv1.Outcome{ReportToken: strings.Repeat("t", 1024), Status: 200, LatencyMs: proto.Float64(1.5)})
	}
	if size := proto.Size(batch); size > LogsMessageBytes {
		t.Errorf("a batch has %d bytes", size)
	}
	if size := proto.Size(report); size > AuthMessageBytes {
		t.Errorf("a report has %d bytes", size)
	}
}
