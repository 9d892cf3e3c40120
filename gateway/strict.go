package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"

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
	lenient protojson.UnmarshalOptions
}

func newMarshaler() *marshaler {
	return &marshaler{
		JSONPb:  runtime.JSONPb{MarshalOptions: protojson.MarshalOptions{EmitUnpopulated: true}},
		lenient: protojson.UnmarshalOptions{DiscardUnknown: true},
	}
}

// NewDecoder reads one request body.
func (m *marshaler) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		options := m.UnmarshalOptions
		if _, ok := v.(*authv1.ReportRequest); ok {
			options = m.lenient
		}
		text := json.NewDecoder(&frugal{from: r})
		if err := (runtime.DecoderWrapper{Decoder: text, UnmarshalOptions: options}).Decode(v); err != nil {
			return err
		}
		return expectEnd(text)
	})
}

// expectEnd refuses text after the value: two requests in one body are a mistake, and the second would be lost.
func expectEnd(text *json.Decoder) error {
	_, err := text.Token()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil && !isSyntax(err):
		return err // the body could not be read
	}
	return errors.New("the body must be one JSON value, with nothing after it")
}

func isSyntax(err error) bool {
	_, ok := errors.AsType[*json.SyntaxError](err)
	return ok
}

// readQueriesStrictly makes every query be read by strictQuery. The library knows one parser a process, and no lock
// for it: set again, it would race with the requests of another gateway.
var readQueriesStrictly = sync.OnceFunc(func() { runtime.SetQueryParameterParser(&strictQuery{})(nil) })

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
