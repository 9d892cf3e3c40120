package serve

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"buf.build/go/protovalidate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// validate refuses requests that break the rules of the contract, before any handler sees them.
func validate() (grpc.UnaryServerInterceptor, error) {
	rules, err := protovalidate.New()
	if err != nil {
		return nil, fmt.Errorf("build the validator: %w", err)
	}
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		message, ok := req.(proto.Message)
		if !ok {
			return next(ctx, req)
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
	// maxFieldName is how many bytes of the name of a field an answer repeats: a key of a map is a part of it.
	maxFieldName = 200
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
		violations = append(violations, violation(cut(field), reason))
	}
	return invalidFields(violations)
}

// cut returns the beginning of a field's name that an answer repeats.
func cut(field string) string {
	if len(field) <= maxFieldName {
		return field
	}
	return strings.ToValidUTF8(field[:maxFieldName], "") + "…"
}
