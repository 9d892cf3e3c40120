package main

// sample is a contract with what the generator tells apart; %RULE% stands for one more rule.
const sample = `
syntax = "proto3";
package keytrail.sample.v1;
import "buf/validate/validate.proto";
import "google/api/annotations.proto";
import "google/api/field_behavior.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/timestamp.proto";
import "keytrail/access/v1/access.proto";

// KeyService is a sample.
service KeyService {
  // CreateKey makes a key. Its
  // ` + "`workspace_id`" + ` exists.
  //
  // - One.
  // - Two, ` + "`RequestLog.key_count`" + `.
  rpc CreateKey(CreateKeyRequest) returns (CreateKeyResponse) {
    option (keytrail.access.v1.rule) = {role: ROLE_ADMIN};
    option (google.api.http) = {post: "/v1/{workspace_id}/keys" body: "key"};
  }
  // UpdateKey changes a key.
  rpc UpdateKey(CreateKeyRequest) returns (CreateKeyResponse) {
    option (keytrail.access.v1.rule) = {role: ROLE_ANY};
    option (google.api.http) = {patch: "/v1/{workspace_id}/keys" body: "key"};
  }
  // RotateKey rotates.
  rpc RotateKey(RotateKeyRequest) returns (CreateKeyResponse) {
    option (keytrail.access.v1.rule) = {role: ROLE_ADMIN};
    option (google.api.http) = {post: "/v1/{workspace_id}/keys:rotate" body: "*"};
  }
}
// CreateKeyRequest asks.
message CreateKeyRequest {
  option (buf.validate.message).cel = {id: "c" message: "page_size: must be odd" expression: "true"};
  // The workspace.
  string workspace_id = 1 [(buf.validate.field).string.pattern = "^[a-z]+$", (google.api.field_behavior) = REQUIRED];
  // The key to make.
  Key key = 2 [(buf.validate.field).required = true, (google.api.field_behavior) = REQUIRED];
  // A size.
  int32 page_size = 3 [(buf.validate.field).int32 = {gte: 0 lt: 9}];
  // A state.
  string state = 4 [(buf.validate.field).string = {in: ["", "on", "off"]}];
}
// CreateKeyResponse answers.
message CreateKeyResponse {
  // The key.
  Key key = 1;
  // When.
  google.protobuf.Timestamp made_time = 2;
}
// RotateKeyRequest asks.
message RotateKeyRequest {
  // The workspace.
  string workspace_id = 1;
  // How long.
  google.protobuf.Duration grace_period = 2 [(buf.validate.field).duration = {gte: {} lte: {seconds: 3600}}];
}
// Key is a key.
message Key {
  // The id.
  string id = 1 [(google.api.field_behavior) = OUTPUT_ONLY];
  // The name.
  string name = 2 [(buf.validate.field).string = {max_bytes: 9 pattern: "^[a-z]*$"}, (google.api.field_behavior) = REQUIRED];
  // The scopes.
  repeated string scopes = 3 [
    (buf.validate.field).repeated = {max_items: 2 unique: true items: {string: {min_len: 1 max_len: 3}}},
    (google.api.field_behavior) = REQUIRED
  ];
  // The metadata.
  map<string, string> metadata = 4 [(buf.validate.field).map = {
    max_pairs: 2 keys: {string: {pattern: "^k$"}} values: {string: {max_len: 4}}
  }];
  // The count.
  int64 key_count = 5;
  // The latency.
  optional double latency_ms = 6 [(buf.validate.field).double = {finite: true gte: 0 lte: 1}];
  // When.
  google.protobuf.Timestamp time = 7;
  // The parts.
  repeated Part parts = 8;
  // The owner.
  string owner_id = 9 [(buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE, (buf.validate.field).string.uuid = true];
  // The last.
  string last = 10 %RULE%;
}
// Part is a part.
message Part {
  // The name.
  string name = 1 [(google.api.field_behavior) = REQUIRED];
}
`

// samplePlugin is what the plugin writes of the sample.
const samplePlugin = `{
  "paths": {
    "/v1/{workspace_id}/keys": {
      "post": {
        "operationId": "KeyService_CreateKey",
        "parameters": [
          {"name": "workspace_id", "in": "path", "required": true, "schema": {"type": "string"}},
          {"name": "pageSize", "in": "query", "schema": {"type": "integer", "format": "int32"}},
          {"name": "state", "in": "query", "schema": {"type": "string"}}
        ],
        "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/keytrail.sample.v1.Key"}}}}
      },
      "patch": {
        "operationId": "KeyService_UpdateKey",
        "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/keytrail.sample.v1.Key"}}}}
      }
    },
    "/v1/{workspace_id}/keys:rotate": {
      "post": {
        "operationId": "KeyService_RotateKey",
        "requestBody": {"content": {"application/json": {"schema": {"type": "object", "properties": {"gracePeriod": {"type": "string"}}}}}}
      }
    }
  },
  "components": {"schemas": {
    "keytrail.sample.v1.CreateKeyResponse": {"type": "object", "properties": {
      "key": {"$ref": "#/components/schemas/keytrail.sample.v1.Key"},
      "madeTime": {"type": "string", "format": "date-time"}
    }},
    "keytrail.sample.v1.Part": {"type": "object", "properties": {"name": {"type": "string"}}},
    "keytrail.sample.v1.Key": {"type": "object", "properties": {
      "id": {"type": "string", "readOnly": true},
      "name": {"type": "string"},
      "scopes": {"type": "array", "items": {"type": "string"}},
      "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
      "keyCount": {"type": "string", "format": "int64"},
      "latencyMs": {"type": "number", "format": "double"},
      "time": {"type": "string", "format": "date-time"},
      "parts": {"type": "array", "items": {"$ref": "#/components/schemas/keytrail.sample.v1.Part"}},
      "ownerId": {"type": "string"},
      "last": {"type": "string"}
    }}
  }}
}`
