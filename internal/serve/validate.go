package serve

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"buf.build/go/protovalidate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// validate refuses requests that break the rules of the contract, before any handler sees them. Every string must
// be UTF-8, except in the raw fields, whose handlers take any bytes.
func validate(raw []protoreflect.FullName) (grpc.UnaryServerInterceptor, error) {
	rules, err := protovalidate.New()
	if err != nil {
		return nil, fmt.Errorf("build the validator: %w", err)
	}
	exempt := make(map[protoreflect.FullName]bool, len(raw))
	for _, name := range raw {
		exempt[name] = true
	}
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		message, ok := req.(proto.Message)
		if !ok {
			return next(ctx, req)
		}
		if field := notUTF8(message.ProtoReflect(), exempt); field != "" {
			return nil, badRequest(&errdetails.BadRequest_FieldViolation{Field: field, Description: "must be valid UTF-8"})
		}
		if err := rules.Validate(message, protovalidate.WithFailFast()); err != nil {
			if proto.Size(message) <= maxExplained {
				err = rules.Validate(message)
			}
			return nil, ruleError(err)
		}
		return next(ctx, req)
	}, nil
}

// A request can break a rule in each of a million elements, which takes long to find and does not fit into an answer.
const (
	// maxExplained is the most bytes of a request that is searched for all the rules that it breaks; of a larger one
	// the first is named.
	maxExplained = 16 << 10
	// maxViolations is how many broken rules an answer names, the first of them.
	maxViolations = 16
)

// ruleError says which fields broke which rules of the contract.
func ruleError(err error) error {
	invalid, ok := errors.AsType[*protovalidate.ValidationError](err)
	if !ok {
		return fmt.Errorf("validate a request: %w", err)
	}
	var violations []*errdetails.BadRequest_FieldViolation
	for _, v := range invalid.Violations[:min(len(invalid.Violations), maxViolations)] {
		field, reason := protovalidate.FieldPathString(v.Proto.GetField()), v.Proto.GetMessage()
		if field == "" {
			// A rule over several fields: its message begins with the one to mend.
			field, reason, _ = strings.Cut(reason, ": ")
		}
		violations = append(violations, &errdetails.BadRequest_FieldViolation{Field: field, Description: reason})
	}
	return badRequest(violations...)
}

// notUTF8 finds the path of the first string that is not UTF-8; empty if there is none.
func notUTF8(message protoreflect.Message, exempt map[protoreflect.FullName]bool) (path string) {
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if exempt[field.FullName()] {
			return true
		}
		if !field.IsList() {
			path = notUTF8Value(string(field.Name()), field, value, exempt)
			return path == ""
		}
		for i := 0; i < value.List().Len() && path == ""; i++ {
			path = notUTF8Value(fmt.Sprintf("%s[%d]", field.Name(), i), field, value.List().Get(i), exempt)
		}
		return path == ""
	})
	return path
}

func notUTF8Value(name string, field protoreflect.FieldDescriptor, value protoreflect.Value, exempt map[protoreflect.FullName]bool) string {
	switch field.Kind() {
	case protoreflect.StringKind:
		if !utf8.ValidString(value.String()) {
			return name
		}
	case protoreflect.MessageKind:
		if inner := notUTF8(value.Message(), exempt); inner != "" {
			return name + "." + inner
		}
	}
	return ""
}
