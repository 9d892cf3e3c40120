package gateway

import (
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

// marshaler writes unset fields out, and refuses fields that it does not know: a misspelt expireTime must not make
// a key that lives for ever. Only reports may hold unknown ones: their entries come from a check that a newer
// replica may have answered.
type marshaler struct {
	runtime.JSONPb
	lenient runtime.JSONPb
}

func newMarshaler() *marshaler {
	write := protojson.MarshalOptions{EmitUnpopulated: true}
	return &marshaler{
		JSONPb:  runtime.JSONPb{MarshalOptions: write},
		lenient: runtime.JSONPb{MarshalOptions: write, UnmarshalOptions: protojson.UnmarshalOptions{DiscardUnknown: true}},
	}
}

// NewDecoder reads one request body.
func (m *marshaler) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		if _, ok := v.(*authv1.ReportRequest); ok {
			return m.lenient.NewDecoder(r).Decode(v)
		}
		return m.JSONPb.NewDecoder(r).Decode(v)
	})
}

// strictQuery refuses query parameters that the request does not have: a misspelt filter must not select all.
type strictQuery struct{ runtime.DefaultQueryParser }

// Parse reads the query parameters into the request.
func (p *strictQuery) Parse(message proto.Message, values url.Values, filter *utilities.DoubleArray) error {
	for name := range values {
		if !hasField(message.ProtoReflect().Descriptor(), name) {
			return fmt.Errorf("%s: unknown query parameter", name)
		}
	}
	return p.DefaultQueryParser.Parse(message, values, filter)
}

// hasField tells whether a query parameter, dotted for fields of fields, names a field.
func hasField(message protoreflect.MessageDescriptor, name string) bool {
	first, rest, nested := strings.Cut(name, ".")
	field := message.Fields().ByName(protoreflect.Name(first))
	if field == nil {
		field = message.Fields().ByJSONName(first)
	}
	if field == nil || !nested {
		return field != nil
	}
	return field.Message() != nil && hasField(field.Message(), rest)
}
