package authresult

import (
	"strings"
	"testing"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

func TestIdentityIsASCIIAndComplete(t *testing.T) {
	check := &authv1.CheckResponse{
		WorkspaceId: "acme", KeyId: "k", KeyName: "Schlüssel 1", KeyLast4: "abcd", ExternalId: "a\nb",
		Metadata: map[string]string{"plan": "größer 😀\x7f"}, RequestLogId: "r",
	}
	want := []Header{
		{WorkspaceIDHeader, "acme"}, {KeyIDHeader, "k"}, {KeyNameHeader, "Schl%C3%BCssel%201"}, {KeyLast4Header, "abcd"},
		{ExternalIDHeader, "a%0Ab"}, {MetadataHeader, `{"plan":"gr\u00f6\u00dfer \ud83d\ude00\u007f"}`}, {RequestLogIDHeader, "r"},
	}
	for i, got := range Identity(check) {
		if got != want[i] {
			t.Errorf("got %v, want %v", got, want[i])
		}
	}
	for i, got := range Identity(nil) {
		if got != (Header{want[i].Name, ""}) {
			t.Errorf("without a response: %v", got)
		}
	}
	check.Metadata["plan"] = strings.Repeat("x", maxMetadata)
	if got := Identity(check)[5]; got.Value != "" {
		t.Errorf("long metadata: %d bytes", len(got.Value))
	}
}

func TestBodyIsReadableAndAlsoFitsIntoAHeader(t *testing.T) {
	refused := Denied(&authv1.CheckResponse{HttpStatus: 401, Denial: &authv1.Denial{
		Code: "missing_token", Message: "No api-key header was sent on the request", Fix: "Add the header — api-key: sk_<your-secret>",
	}})
	const body = `{"error":{"code":"missing_token","message":"No api-key header was sent on the request",` +
		`"fix":"Add the header — api-key: sk_<your-secret>"}}`
	if got := refused.Body(); got != body {
		t.Errorf("the body is %s, want %s", got, body)
	}
	if got, want := refused.HeaderValue(), strings.Replace(body, "—", `\u2014`, 1); got != want {
		t.Errorf("the header is %s, want %s", got, want)
	}
}
