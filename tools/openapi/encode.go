package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// object is a JSON object of the document.
type object = map[string]any

// list is a JSON list of the document.
type list = []any

// order is the order of the words of OpenAPI and JSON Schema. Every other key comes after them, in alphabetical order.
var order = []string{
	"openapi", "info", "servers", "security", "tags", "paths", "components",
	"name", "in", "title", "version", "operationId", "url", "$ref", "type", "format", "summary", "description",
	"required", "parameters", "requestBody", "responses", "headers", "schema", "properties", "content",
}

// named are the keys whose objects have names of the contract for keys: those are in alphabetical order.
var named = map[string]bool{
	"paths": true, "schemas": true, "properties": true, "responses": true, "examples": true, "value": true, "metadata": true,
}

// encode writes a document as JSON, two spaces an indentation, always in the same order.
func encode(document object) []byte {
	var compact, indented bytes.Buffer
	write(&compact, document, false)
	// What write has written is JSON.
	_ = json.Indent(&indented, compact.Bytes(), "", "  ")
	indented.WriteByte('\n')
	return indented.Bytes()
}

// write writes a value; names says whether the keys of an object are names of the contract.
func write(out *bytes.Buffer, value any, names bool) {
	switch v := value.(type) {
	case object:
		out.WriteByte('{')
		for i, key := range sorted(v, names) {
			separate(out, i)
			writeScalar(out, key)
			out.WriteByte(':')
			write(out, v[key], named[key] && !names)
		}
		out.WriteByte('}')
	case list:
		out.WriteByte('[')
		for i, item := range v {
			separate(out, i)
			write(out, item, false)
		}
		out.WriteByte(']')
	default:
		writeScalar(out, v)
	}
}

func separate(out *bytes.Buffer, i int) {
	if i > 0 {
		out.WriteByte(',')
	}
}

func writeScalar(out *bytes.Buffer, value any) {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	// Strings, numbers and booleans are always JSON.
	_ = encoder.Encode(value)
	out.Truncate(out.Len() - 1) // the end of the line
}

// sorted returns the keys of an object in their order.
func sorted(o object, names bool) []string {
	if names {
		return slices.Sorted(maps.Keys(o))
	}
	return slices.SortedFunc(maps.Keys(o), func(a, b string) int {
		if ranks := rank(a) - rank(b); ranks != 0 {
			return ranks
		}
		return strings.Compare(a, b)
	})
}

func rank(key string) int {
	if i := slices.Index(order, key); i >= 0 {
		return i
	}
	return len(order)
}
