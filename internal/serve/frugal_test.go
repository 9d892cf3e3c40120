package serve

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/fault"
)

// inField is bytes as a field of a message.
func inField(number protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), content)
}

// bombs are requests of 4 MiB that would become hundreds of MiB: the messages, and what they look like on the wire.
func bombs() map[string]struct {
	wire []byte
	into proto.Message
} {
	empty := func(number protowire.Number) []byte {
		return bytes.Repeat(inField(number, nil), maxMessage/2-16)
	}
	return map[string]struct {
		wire []byte
		into proto.Message
	}{
		"empty request logs": {empty(1), &logsv1.RecordRequestLogsRequest{}},
		"empty outcomes":     {empty(1), &authv1.ReportRequest{}},
		"secrets in a key":   {inField(3, empty(15)), &authv1.UpdateKeyRequest{}},
		"empty agent ids":    {inField(2, empty(9)), &authv1.CreateKeyRequest{}},
		"empty metadata":     {inField(2, empty(6)), &authv1.CreateKeyRequest{}},
		"one key many times": {empty(3), &authv1.UpdateKeyRequest{}},
	}
}

func TestRequestOfManyPartsIsNotTakenApart(t *testing.T) {
	for name, bomb := range bombs() {
		t.Run(name, func(t *testing.T) {
			p := &parcel{into: bomb.into}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			must(t, newFrugal().Unmarshal(mem.BufferSlice{mem.SliceBuffer(bomb.wire)}, p))
			runtime.ReadMemStats(&after)
			if f, _ := errors.AsType[*fault.Error](p.err); f == nil || f.Reason != fault.RequestTooComplex || !strings.Contains(p.err.Error(), "elements of lists") || proto.Size(bomb.into) != 0 {
				t.Errorf("taken apart, with %v", p.err)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > maxMessage {
				t.Errorf("it took %d KiB", used>>10)
			}
		})
	}
}

func TestRequestOfManyPartsIsTheCallersMistake(t *testing.T) {
	w := newWorld(t, &keys{})
	bomb := wire(bombs()["secrets in a key"].wire)
	err := w.conn.Invoke(t.Context(), authv1.KeyService_UpdateKey_FullMethodName, someKey, &authv1.UpdateKeyResponse{}, grpc.ForceCodecV2(bomb))
	if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "send less at a time") {
		t.Errorf("%v, want INVALID_ARGUMENT", err)
	}
	if records := w.log.records(t); len(records) != 0 {
		t.Errorf("logged %v", records)
	}
}

// TestLargestRequestsOfTheContractAreTaken comes as the network has it, in pieces.
func TestLargestRequestsOfTheContractAreTaken(t *testing.T) {
	now, batch, report := timestamppb.Now(), &logsv1.RecordRequestLogsRequest{}, &authv1.ReportRequest{}
	for range 5000 {
		batch.Records = append(batch.Records, &logsv1.RequestLogRecord{RequestLog: &logsv1.RequestLog{
			Id: someKey.GetKeyId(), Time: now, Endpoint: strings.Repeat("/", 700),
		}})
	}
	for range 1000 {
		report.Outcomes = append(report.Outcomes, &authv1.Outcome{ReportToken: strings.Repeat("t", 1024), Status: 200})
	}
	for _, want := range []proto.Message{batch, report} {
		text, err := proto.Marshal(want)
		must(t, err)
		var pieces mem.BufferSlice
		for piece := range slices.Chunk(text, 16<<10) {
			pieces = append(pieces, mem.SliceBuffer(piece))
		}
		got := want.ProtoReflect().New().Interface()
		p := &parcel{into: got}
		must(t, newFrugal().Unmarshal(pieces, p))
		if p.err != nil || !proto.Equal(got, want) {
			t.Errorf("%T of %d bytes: %v", want, len(text), p.err)
		}
	}
}

func TestPartsAreCountedWhereverTheyAre(t *testing.T) {
	key := &authv1.UpdateKeyRequest{Key: &authv1.Key{Name: "a", Scopes: []string{"b", ""}, Secrets: []*authv1.Secret{{CreateTime: &timestamppb.Timestamp{}}}}}
	text, err := proto.Marshal(key)
	must(t, err)
	for name, tt := range map[string]struct {
		wire []byte
		want int
	}{
		"a key, its scopes, a secret and its time": {text, 5},
		"unknown fields":             {inField(99, inField(1, nil)), 0},
		"half a field":               {append(text, 0x1a, 9), 5},
		"half a tag":                 {append(text, 0xff), 5},
		"a key of another wire type": {protowire.AppendVarint(protowire.AppendTag(nil, 3, protowire.VarintType), 1), 0},
	} {
		if got := 100 - countParts(key.ProtoReflect().Descriptor(), tt.wire, 100); got != tt.want {
			t.Errorf("%s: %d parts, want %d", name, got, tt.want)
		}
	}
}
