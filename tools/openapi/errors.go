package main

import (
	"net/http"
	"strings"
)

// failure is an error response that operations share.
type failure struct {
	status int
	// description says which gRPC codes the status stands for, and what a caller can do.
	description string
	// code, message and details are those of the example.
	code    int
	message string
	details list
}

// failures are all error statuses of the document.
var failures = []failure{
	{
		http.StatusBadRequest,
		"INVALID_ARGUMENT or FAILED_PRECONDITION: the request breaks a rule, or the state of the key does not allow it. `BadRequest` names the fields that are wrong.",
		3, "name: must not be blank", list{
			errorInfo("FIELD_INVALID", object{"field": "name"}),
			object{"@type": typeURL + "BadRequest", "fieldViolations": list{object{"field": "name", "description": "must not be blank", "reason": ""}}},
		},
	},
	{
		http.StatusUnauthorized, "UNAUTHENTICATED: the request has no bearer token, or one that is not valid.",
		16, "no token: send the header `authorization: Bearer TOKEN`; `keytrail token create` makes one", list{errorInfo("TOKEN_MISSING", object{})},
	},
	{
		http.StatusForbidden,
		"PERMISSION_DENIED: the token has another role, or does not hold for the workspace; or the request comes from a web page that may not call.",
		7, "this needs a token of the role \"admin\"; this one has \"viewer\"",
		list{errorInfo("ROLE_MISSING", object{"role": "admin", "token_role": "viewer"})},
	},
	{
		http.StatusNotFound, "NOT_FOUND: the workspace has no such key or request log.",
		5, "key not found", list{errorInfo("KEY_NOT_FOUND", object{})},
	},
	{
		http.StatusConflict,
		"ALREADY_EXISTS or ABORTED: the `requestId` was used before, or the key has another `etag`.",
		10, "the key has changed since it was read: read it again", list{errorInfo("ETAG_MISMATCH", object{"etag": "2"})},
	},
	{
		http.StatusRequestTimeout, "DEADLINE_EXCEEDED: the body did not arrive in time.",
		4, "the body did not arrive in time", list{errorInfo("REQUEST_LATE", object{})},
	},
	{
		http.StatusRequestEntityTooLarge, "RESOURCE_EXHAUSTED: the body is larger than 4 MiB.",
		8, "the body has more than 4194304 bytes: send less at a time", list{errorInfo("BODY_TOO_LARGE", object{})},
	},
	{
		http.StatusTooManyRequests, "RESOURCE_EXHAUSTED: a quota of the workspace is used up (`metadata` has the `limit`, its `value` and the `flag` that raises it), or too many of its searches run at a time (`RetryInfo` says when to try again).",
		8, "too many searches of the workspace at a time; try again later", list{
			errorInfo("TOO_MANY_SEARCHES", object{}), object{"@type": typeURL + "RetryInfo", "retryDelay": "1s"},
		},
	},
	{
		http.StatusInternalServerError, "INTERNAL: a fault of the service, which has logged it.",
		13, "internal error", list{errorInfo("INTERNAL", object{})},
	},
	{
		http.StatusServiceUnavailable,
		"UNAVAILABLE: the service cannot answer now; `RetryInfo` says when to try again. With the reason `CHANGE_NOT_IN_FORCE`, which has no " +
			"`RetryInfo`, the change of the key is stored but not in force yet: do not repeat it, but read the key; after a rotation without " +
			"a grace period rotate again, with a new `requestId`.",
		14, "the service cannot be reached; try again later", list{
			errorInfo("SERVICE_UNREACHABLE", object{}), object{"@type": typeURL + "RetryInfo", "retryDelay": "1s"},
		},
	},
	{
		http.StatusGatewayTimeout, "DEADLINE_EXCEEDED: the deadline of the request, its `Grpc-Timeout` header, has passed; or the database did not complete a statement in time (`STORE_LATE`).",
		4, "the service did not answer in time", list{errorInfo("DEADLINE_EXCEEDED", object{})},
	},
}

// typeURL is what the type of a detail begins with.
const typeURL = "type.googleapis.com/google.rpc."

func errorInfo(reason string, metadata object) object {
	return object{"@type": typeURL + "ErrorInfo", "reason": reason, "domain": "keytrail", "metadata": metadata}
}

// name is the name of the response in the document.
func (f failure) name() string {
	return strings.ReplaceAll(http.StatusText(f.status), " ", "")
}

// response is the response in the document.
func (f failure) response() object {
	content := statusContent()
	content["application/json"].(object)["example"] = object{"code": f.code, "message": f.message, "details": f.details}
	response := object{"description": f.description, "content": content}
	switch f.status {
	case http.StatusUnauthorized:
		response["headers"] = header("WWW-Authenticate", "What is wanted, and what is wrong with the token (RFC 6750).", "string", true)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		response["headers"] = header("Retry-After", "How many seconds to wait, as `RetryInfo` says; only with that.", "integer", false)
	}
	return response
}

// header is the headers of a response that has one, perhaps not always.
func header(name, description, kind string, always bool) object {
	described := object{"description": description, "schema": object{"type": kind}}
	if always {
		described["required"] = true
	}
	return object{name: described}
}

// statusContent is the content of every error response.
func statusContent() object {
	return object{"application/json": object{"schema": object{"$ref": "#/components/schemas/Status"}}}
}

// errorResponses are the error responses of the document, by name.
func errorResponses() object {
	responses := object{"Error": object{
		"description": "Any other error: of a later release, or of a proxy in between that speaks google.rpc.Status.",
		"content":     statusContent(),
	}}
	for _, f := range failures {
		responses[f.name()] = f.response()
	}
	return responses
}

// errorSchemas are the schemas of an error, by name. The plugin has one of its own that says nothing of details.
func errorSchemas() object {
	return object{
		"Status": object{
			"type": "object", "description": "Status is every error: google.rpc.Status.",
			"required": list{"code", "message", "details"},
			"properties": object{
				"code":    object{"type": "integer", "format": "int32", "description": "The gRPC status code.", "minimum": 1, "examples": list{3, 5, 16}},
				"message": text("What is wrong, for people."),
				"details": object{
					"type": "array", "description": "For programs. The first is `ErrorInfo`, which every error has.",
					"items":    object{"$ref": "#/components/schemas/ErrorDetail"},
					"contains": detail("ErrorInfo"), "minContains": 1, "maxContains": 1,
				},
			},
		},
		"ErrorDetail":    errorDetail(),
		"FieldViolation": fieldViolation(),
	}
}

// errorDetail is one schema for all types of details, so that clients can also read those of a later release.
func errorDetail() object {
	return object{
		"type": "object",
		"description": "ErrorDetail is told apart by its `@type`. A later release may have more types: ignore those that you do not know.\n\n" +
			"- google.rpc.ErrorInfo: `reason`, `domain` and `metadata`.\n- google.rpc.BadRequest: `fieldViolations`.\n- google.rpc.RetryInfo: `retryDelay`.",
		"required": list{"@type"},
		"properties": object{
			"@type":    object{"type": "string", "description": "The type of the detail.", "examples": list{typeURL + "ErrorInfo", typeURL + "BadRequest", typeURL + "RetryInfo"}},
			"reason":   object{"type": "string", "description": "Of ErrorInfo: the stable name of the mistake. Later releases may know more of them.", "examples": list{"FIELD_INVALID", "KEY_NOT_FOUND", "TOKEN_INVALID"}},
			"domain":   object{"type": "string", "description": "Of ErrorInfo: who made the reason, `keytrail`.", "examples": list{"keytrail"}},
			"metadata": object{"type": "object", "description": "Of ErrorInfo: what a program may want to know, e.g. the id of a key.", "additionalProperties": object{"type": "string"}},
			"fieldViolations": object{
				"type": "array", "description": "Of BadRequest: the fields of the request that are wrong.",
				"items": object{"$ref": "#/components/schemas/FieldViolation"},
			},
			"retryDelay": object{"type": "string", "description": "Of RetryInfo: how long to wait before trying again.", "pattern": `^[0-9]+(\.[0-9]{1,9})?s$`, "examples": list{"1s"}},
		},
		"if":   detail("ErrorInfo"),
		"then": object{"required": list{"reason", "domain", "metadata"}},
		"else": object{
			"if": detail("BadRequest"), "then": object{"required": list{"fieldViolations"}},
			"else": object{"if": detail("RetryInfo"), "then": object{"required": list{"retryDelay"}}},
		},
	}
}

// detail is the schema of the details of one type.
func detail(name string) object {
	return object{"properties": object{"@type": object{"const": typeURL + name}}, "required": list{"@type"}}
}

func fieldViolation() object {
	return object{
		"type": "object", "description": "FieldViolation is one field of a request that is wrong.",
		"required": list{"field", "description"},
		"properties": object{
			"field":       text("The field, as the contract spells it, with dots and indexes: `key.agent_ids[3]`."),
			"description": text("What is wrong with it."),
			"reason":      text("Always empty: the reason is that of ErrorInfo."),
		},
	}
}

func text(description string) object {
	return object{"type": "string", "description": description}
}
