// Package authresult is how callers and proxies get the result of a check over HTTP: headers with the caller's identity, and a
// JSON body that explains a denial.
package authresult

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf16"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

// The headers of a result, in lower case as HTTP/2 and gRPC write them. Names and ids of the platform are percent-encoded (RFC
// 3986), because a header is ASCII; the metadata is a JSON object in ASCII.
const (
	// The identity: empty where the response of the check has none.
	WorkspaceIDHeader  = "x-keytrail-workspace-id"
	KeyIDHeader        = "x-keytrail-key-id"
	KeyNameHeader      = "x-keytrail-key-name"
	KeyLast4Header     = "x-keytrail-key-last4"
	ExternalIDHeader   = "x-keytrail-external-id"
	MetadataHeader     = "x-keytrail-metadata"
	RequestLogIDHeader = "x-keytrail-request-log-id"

	// ErrorCodeHeader has the error code of a refusal, and ErrorHeader its HeaderValue; empty if the call is allowed.
	ErrorCodeHeader = "x-keytrail-error-code"
	ErrorHeader     = "x-keytrail-error"
	// ReportTokenHeader has the report token.
	ReportTokenHeader = "x-keytrail-report-token"
)

// APIKeyHeader is the header with the caller's secret.
const APIKeyHeader = "api-key"

// Challenge is the value of WWW-Authenticate in a response with the status 401 (RFC 9110, section 11.6.1). The scheme is not
// registered; it makes no browser ask for a password.
const Challenge = `ApiKey realm="api", header="` + APIKeyHeader + `"`

// maxMetadata is the most bytes of the metadata in a header. Metadata that is longer is left out: proxies refuse responses with long
// headers, by default nginx above 4 or 8 KiB and Envoy above 60 KiB.
const maxMetadata = 2048

// Header is one header.
type Header struct{ Name, Value string }

// Identity returns all headers of the identity. A proxy must set each of them, also the empty ones, so that none of the caller's
// own reaches the service behind it.
func Identity(check *authv1.CheckResponse) []Header {
	return []Header{
		{WorkspaceIDHeader, check.GetWorkspaceId()},
		{KeyIDHeader, check.GetKeyId()},
		{KeyNameHeader, url.PathEscape(check.GetKeyName())},
		{KeyLast4Header, check.GetKeyLast4()},
		{ExternalIDHeader, url.PathEscape(check.GetExternalId())},
		{MetadataHeader, metadata(check.GetMetadata())},
		{RequestLogIDHeader, check.GetRequestLogId()},
	}
}

func metadata(entries map[string]string) string {
	if len(entries) == 0 {
		return ""
	}
	encoded, _ := json.Marshal(entries) // strings can always be encoded
	text := ascii(encoded)
	if len(text) > maxMetadata {
		return ""
	}
	return text
}

// Refusal is why a call is not served.
type Refusal struct {
	// Status is the HTTP status.
	Status int `json:"-"`
	// Code is an error code of a denial, or one of those below.
	Code    string `json:"code"`
	Message string `json:"message"`
	Fix     string `json:"fix"`
}

var (
	// UnknownPath refuses a call whose path matches no template. It was not checked, and has no row. 403, because nginx passes no
	// other status of an auth_request than 401 and 403.
	UnknownPath = Refusal{
		http.StatusForbidden, "unknown_path", "The path names no agent of a known type", "Check the path of the request",
	}
	// Unavailable refuses a call that could not be checked.
	Unavailable = Refusal{
		http.StatusServiceUnavailable, "unavailable", "The API key could not be checked", "Send the request again later",
	}
)

// Denied returns the refusal of a denied call.
func Denied(check *authv1.CheckResponse) Refusal {
	d := check.GetDenial()
	return Refusal{int(check.GetHttpStatus()), d.GetCode(), d.GetMessage(), d.GetFix()}
}

// Body returns {"error": {"code", "message", "fix"}} in UTF-8. Its < and > are not escaped, for readers in a terminal: clients must not
// take JSON for HTML.
func (r Refusal) Body() string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(struct { // strings can always be encoded
		Error Refusal `json:"error"`
	}{r})
	return strings.TrimSuffix(b.String(), "\n")
}

// HeaderValue returns Body in ASCII, for a header.
func (r Refusal) HeaderValue() string { return ascii([]byte(r.Body())) }

// ascii escapes what is not ASCII in JSON text, and the delete character, which a header must not have (RFC 9110, section 5.5).
func ascii(text []byte) string {
	var b strings.Builder
	for _, r := range string(text) {
		if r < 0x7f {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}
