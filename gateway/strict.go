package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/keytrail/keytrail/internal/fault"
)

// jsonOptions write fields with default values, except unset messages and optional fields: no field is null.
var jsonOptions = protojson.MarshalOptions{EmitDefaultValues: true}

// marshaler refuses unknown fields: a misspelt expireTime must not create a key that never expires.
type marshaler struct{ runtime.JSONPb }

// NewDecoder reads one request body.
func (m *marshaler) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		text := json.NewDecoder(r)
		if err := (runtime.DecoderWrapper{Decoder: text, UnmarshalOptions: m.UnmarshalOptions}).Decode(v); err != nil {
			return err
		}
		return expectEnd(text)
	})
}

// expectEnd refuses text after the value: a second request in the body would be lost.
func expectEnd(text *json.Decoder) error {
	_, err := text.Token()
	_, syntax := errors.AsType[*json.SyntaxError](err)
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil && !syntax:
		return err // the body could not be read
	}
	return errors.New("the body must be one JSON value, with nothing after it")
}

// useStrictQueries installs strictQuery once. The library has one query parser per process, without a lock.
var useStrictQueries = sync.OnceFunc(func() { runtime.SetQueryParameterParser(&strictQuery{})(nil) })

// strictQuery refuses unknown query parameters: a misspelt filter must not select everything.
type strictQuery struct{ runtime.DefaultQueryParser }

// Parse reads the query parameters into the request.
func (p *strictQuery) Parse(message proto.Message, values url.Values, filter *utilities.DoubleArray) error {
	for name, texts := range values {
		path := fieldPath(message.ProtoReflect().Descriptor(), name)
		if path == nil {
			return fmt.Errorf("%s: unknown query parameter", strings.ToValidUTF8(name, "\uFFFD"))
		}
		// The library ignores such a parameter.
		if filter.HasCommonPrefix(path) {
			return fmt.Errorf("%s: not a query parameter; it is in the path or the body of this request", name)
		}
		for _, text := range texts {
			if !utf8.ValidString(text) {
				return fmt.Errorf("%s: must be UTF-8", name)
			}
		}
	}
	return p.DefaultQueryParser.Parse(message, values, filter)
}

// pathInUTF8 refuses requests whose path gives a field a string that is not UTF-8.
func pathInUTF8(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		for name, text := range params {
			if !utf8.ValidString(text) {
				writeFault(w, r, fault.New(fault.RequestMalformed, "%s: must be UTF-8", name))
				return
			}
		}
		next(w, r, params)
	}
}

// fieldPath returns the path of the field that a query parameter names, with dots between the names; nil if there is none.
func fieldPath(message protoreflect.MessageDescriptor, name string) []string {
	var path []string
	for part := range strings.SplitSeq(name, ".") {
		if message == nil {
			return nil
		}
		field := message.Fields().ByName(protoreflect.Name(part))
		if field == nil {
			field = message.Fields().ByJSONName(part)
		}
		if field == nil {
			return nil
		}
		path, message = append(path, string(field.Name())), field.Message()
	}
	return path
}
