package main

import "testing"

func TestEncodingIsStableAndReadable(t *testing.T) {
	document := object{
		"paths": object{"/b": object{}, "/a": object{"post": object{"summary": "<s>", "operationId": "id"}}},
		"info":  object{"version": "v1", "title": "T"},
		"components": object{"schemas": object{"A": object{
			"properties": object{"type": object{"type": "string"}, "name": object{"type": "string"}},
			"type":       "object", "maxItems": uint64(3), "minimum": 0.5, "enum": list{},
		}}},
		"openapi": "3.1.0",
	}
	const want = `{
  "openapi": "3.1.0",
  "info": {
    "title": "T",
    "version": "v1"
  },
  "paths": {
    "/a": {
      "post": {
        "operationId": "id",
        "summary": "<s>"
      }
    },
    "/b": {}
  },
  "components": {
    "schemas": {
      "A": {
        "type": "object",
        "properties": {
          "name": {
            "type": "string"
          },
          "type": {
            "type": "string"
          }
        },
        "enum": [],
        "maxItems": 3,
        "minimum": 0.5
      }
    }
  }
}
`
	for range 10 {
		if got := string(encode(document)); got != want {
			t.Fatalf("encoded\n%s, want\n%s", got, want)
		}
	}
}
