package grpcserver

import (
	"errors"
	"fmt"
	"strings"

	"buf.build/go/protovalidate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
)

// validate checks a request against the rules of the contract.
func (c *chain) validate(request proto.Message) error {
	err := c.validator.Validate(request, protovalidate.WithFailFast())
	if err == nil {
		return nil
	}
	if proto.Size(request) <= maxExplainedBytes {
		err = c.validator.Validate(request)
	}
	return ruleError(err)
}

// A request can violate a rule in each of many elements: the error must stay cheap and fit into the headers of a call.
const (
	// maxExplainedBytes is the maximum size of a request whose violations are all reported. Of a larger one, only the first
	// is.
	maxExplainedBytes = 16 << 10
	maxViolations     = 16
	// maxFieldName truncates the name of a field, which contains the keys of maps.
	maxFieldName = 200
)

// ruleError returns the status that names the violations.
func ruleError(err error) error {
	invalid, ok := errors.AsType[*protovalidate.ValidationError](err)
	if !ok {
		return fmt.Errorf("validate a request: %w", err)
	}
	var violations []*errdetails.BadRequest_FieldViolation
	for _, v := range invalid.Violations[:min(len(invalid.Violations), maxViolations)] {
		field, reason := protovalidate.FieldPathString(v.Proto.GetField()), v.Proto.GetMessage()
		if field == "" {
			// A rule on a message: its text begins with the field.
			field, reason, _ = strings.Cut(reason, ": ")
		}
		violations = append(violations, violation(truncate(field), reason))
	}
	return invalidFields(violations)
}

func truncate(field string) string {
	if len(field) <= maxFieldName {
		return field
	}
	return strings.ToValidUTF8(field[:maxFieldName], "") + "…"
}
