package main

import (
	"fmt"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
)

// keyword writes one rule of protovalidate into a schema.
type keyword func(schema object, value protoreflect.Value)

// keywords are the rules that a schema can hold. A rule that is not here ends the program, so that none is lost.
var keywords = map[protoreflect.Name]keyword{
	"min_len":   limit("minLength"),
	"max_len":   limit("maxLength"),
	"max_bytes": maxBytes,
	"pattern":   limit("pattern"),
	"in":        oneOf,
	"uuid":      func(schema object, _ protoreflect.Value) { schema["format"] = "uuid" },
	"gt":        limit("exclusiveMinimum"),
	"gte":       limit("minimum"),
	"lt":        limit("exclusiveMaximum"),
	"lte":       limit("maximum"),
	"finite":    func(object, protoreflect.Value) {}, // JSON has no other numbers
	"min_items": limit("minItems"),
	"max_items": limit("maxItems"),
	"unique":    limit("uniqueItems"),
	"min_pairs": limit("minProperties"),
	"max_pairs": limit("maxProperties"),
}

// limit makes a keyword that has the value of its rule.
func limit(name string) keyword {
	return func(schema object, value protoreflect.Value) { schema[name] = value.Interface() }
}

// maxBytes says how many bytes a string may have. JSON Schema counts characters, of which there are never more.
func maxBytes(schema object, value protoreflect.Value) {
	schema["maxLength"] = value.Interface()
	note(schema, fmt.Sprintf("At most %d bytes in UTF-8.", value.Uint()))
}

// oneOf lists the values of a closed vocabulary. The empty one stands for a field that is left out.
func oneOf(schema object, value protoreflect.Value) {
	var values list
	for i := range value.List().Len() {
		if one := value.List().Get(i).String(); one != "" {
			values = append(values, one)
		}
	}
	schema["enum"] = values
}

// note adds a sentence to the description of a schema.
func note(schema object, sentence string) {
	description, _ := schema["description"].(string)
	schema["description"] = strings.TrimSpace(description + " " + sentence)
}

// constrain writes the rules of a field into the schema of its values.
func constrain(schema object, field protoreflect.FieldDescriptor) error {
	rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
	if err := apply(schema, rules); err != nil {
		return fmt.Errorf("%s: %w", field.FullName(), err)
	}
	return nil
}

// apply writes rules into a schema. Whether a field is required is said by google.api.field_behavior.
func apply(schema object, rules *validate.FieldRules) error {
	if rules.GetIgnore() == validate.Ignore_IGNORE_ALWAYS {
		return nil
	}
	for _, rule := range rules.GetCel() {
		note(schema, "Rule: "+rule.GetMessage()+".")
	}
	if len(rules.GetCelExpression()) > 0 {
		return fmt.Errorf("a CEL expression without a message cannot be described")
	}
	message := rules.ProtoReflect()
	kind := message.WhichOneof(message.Descriptor().Oneofs().ByName("type"))
	switch {
	case kind == nil:
		return nil
	case rules.GetDuration() != nil:
		return applyDuration(schema, rules.GetDuration())
	case rules.GetRepeated() != nil:
		if err := applyParts(schema, "items", rules.GetRepeated().GetItems()); err != nil {
			return err
		}
	case rules.GetMap() != nil:
		if err := applyParts(schema, "propertyNames", rules.GetMap().GetKeys()); err != nil {
			return err
		}
		if err := applyParts(schema, "additionalProperties", rules.GetMap().GetValues()); err != nil {
			return err
		}
	}
	return applyKeywords(schema, message.Get(kind).Message())
}

// applyParts writes the rules of the items, keys or values of a field into the schema of those.
func applyParts(schema object, part string, rules *validate.FieldRules) error {
	if rules == nil {
		return nil
	}
	of, ok := schema[part].(object)
	if !ok {
		of = object{}
		schema[part] = of
	}
	return apply(of, rules)
}

func applyKeywords(schema object, rules protoreflect.Message) error {
	var unknown error
	rules.Range(func(rule protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch set, ok := keywords[rule.Name()]; {
		case ok:
			set(schema, value)
		case rule.Name() == "items" || rule.Name() == "keys" || rule.Name() == "values":
		default:
			unknown = fmt.Errorf("the rule %s is unknown: add it to keywords", rule.Name())
		}
		return unknown == nil
	})
	return unknown
}

// applyDuration writes the limits of a duration, which JSON spells as text, into its description.
func applyDuration(schema object, rules *validate.DurationRules) error {
	least, most := rules.GetGte(), rules.GetLte()
	if least == nil || most == nil || least.AsDuration() < 0 || !proto.Equal(rules, durationRange(least, most)) {
		return fmt.Errorf("of a duration's rules only gte and lte are known, both, and no negative ones")
	}
	schema["pattern"] = `^[0-9]+(\.[0-9]{1,9})?s$`
	note(schema, fmt.Sprintf("From %ds to %ds.", least.GetSeconds(), most.GetSeconds()))
	return nil
}

func durationRange(least, most *durationpb.Duration) *validate.DurationRules {
	return &validate.DurationRules{
		GreaterThan: &validate.DurationRules_Gte{Gte: least}, LessThan: &validate.DurationRules_Lte{Lte: most},
	}
}
