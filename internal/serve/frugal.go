package serve

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	protobuf "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/keytrail/keytrail/internal/fault"
)

const (
	// maxParts is the most messages and elements of lists in a request, those inside of others too: a batch of 5,000
	// request logs has 15,000, and there is room for what is to come.
	maxParts = 32 << 10
	// partBytes is the least bytes that one takes. It becomes some hundreds of bytes in memory.
	partBytes = 2
)

// frugal is gRPC's codec, but for requests that would become a multiple of their bytes: they are counted before they
// are taken apart. The rules of the contract, which bound every list, can look at a message only when it is there.
type frugal struct{ encoding.CodecV2 }

func newFrugal() frugal { return frugal{encoding.GetCodecV2(proto.Name)} }

// parcel is a request of an RPC that takes one. err says why it could not be taken apart: what a codec fails with is
// answered as INTERNAL, before an interceptor can say that it was the caller's mistake.
type parcel struct {
	into any
	err  error
}

// Unmarshal implements encoding.CodecV2.
func (f frugal) Unmarshal(data mem.BufferSlice, into any) error {
	if p, ok := into.(*parcel); ok {
		p.err = f.open(data, p.into)
		return nil
	}
	return f.open(data, into)
}

func (f frugal) open(data mem.BufferSlice, into any) error {
	if message, ok := into.(protobuf.Message); ok && data.Len() > maxParts*partBytes {
		// One piece, which the codec makes of it anyway.
		whole := data.MaterializeToBuffer(mem.DefaultBufferPool())
		defer whole.Free()
		if countParts(message.ProtoReflect().Descriptor(), whole.ReadOnlyData(), maxParts) < 0 {
			return fault.New(fault.RequestTooComplex, "the request has more than %d messages and elements of lists: send less at a time", maxParts)
		}
		data = mem.BufferSlice{whole}
	}
	if err := f.CodecV2.Unmarshal(data, into); err != nil {
		return fault.New(fault.RequestMalformed, "the request is not the message that the contract asks for, or a string in it is not UTF-8")
	}
	return nil
}

// countParts takes the messages and elements of lists in the bytes of a message from left, and answers what is left; less
// than none at the first one too many. It stops at bytes that are no message: whoever takes them apart will say so.
func countParts(of protoreflect.MessageDescriptor, wire []byte, left int) int {
	for len(wire) > 0 && left >= 0 {
		number, kind, tag := protowire.ConsumeTag(wire)
		if tag < 0 {
			break
		}
		size := protowire.ConsumeFieldValue(number, kind, wire[tag:])
		if size < 0 {
			break
		}
		if field := of.Fields().ByNumber(number); kind == protowire.BytesType && field != nil && (field.IsList() || field.Message() != nil) {
			left--
			if field.Message() != nil {
				inner, _ := protowire.ConsumeBytes(wire[tag:])
				left = countParts(field.Message(), inner, left)
			}
		}
		wire = wire[tag+size:]
	}
	return left
}
