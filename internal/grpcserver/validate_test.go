package grpcserver

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/fault"
)

// notUTF8 returns encoded requests with a string that is not UTF-8, which Go's client refuses to send.
func notUTF8() map[string][]byte {
	return map[string][]byte{
		"in a field":     inField(1, []byte("acme\xff")),
		"in a message":   inField(2, inField(3, []byte("\xed\xa0\x80"))),
		"in a list":      inField(2, inField(7, []byte("\xc0"))),
		"a key of a map": inField(2, inField(6, inField(1, []byte("\xff")))),
	}
}

func TestTextThatIsNotUTF8IsMalformed(t *testing.T) {
	f := newFixture(t, &keys{create: func(*authv1.CreateKeyRequest) { t.Error("a request reached the handler") }})
	for name, text := range notUTF8() {
		err := f.conn.Invoke(t.Context(), authv1.KeyService_CreateKey_FullMethodName, validRequest, &authv1.CreateKeyResponse{}, grpc.ForceCodecV2(rawCodec(text)))
		expectReason(t, name, err, codes.InvalidArgument, fault.RequestMalformed)
		if !strings.Contains(status.Convert(err).Message(), "not UTF-8") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := f.client.CreateKey(t.Context(), &authv1.CreateKeyRequest{WorkspaceId: "acme\xff"})
	if status.Code(err) != codes.Internal || infoOf(err) != nil {
		t.Errorf("Go's own client says %v", err)
	}
	if records := f.log.Records(t); len(records) != 0 {
		t.Errorf("logged %v", records)
	}
}

func TestBrokenRulesNameEveryFieldAndItsReason(t *testing.T) {
	f := newFixture(t, &keys{create: func(*authv1.CreateKeyRequest) { t.Error("a bad request reached the handler") }})
	_, err := f.client.CreateKey(t.Context(), &authv1.CreateKeyRequest{
		WorkspaceId: "Not An Id", Key: &authv1.Key{Name: strings.Repeat("n", 101), Scopes: []string{"agent", "Not A Scope"}, AgentIds: []string{""}},
	})
	st, found := status.Convert(err), violations(err)
	if st.Code() != codes.InvalidArgument {
		t.Fatalf("got %v, want INVALID_ARGUMENT", err)
	}
	for _, field := range []string{"workspace_id", "key.name", "key.scopes[1]", "key.agent_ids[0]"} {
		if found[field] == "" || !strings.Contains(st.Message(), field+": "+found[field]) {
			t.Errorf("%s has the reason %q; the text is %q", field, found[field], st.Message())
		}
	}
	if len(found) != 4 {
		t.Errorf("violations %v, want 4", found)
	}
	expectReason(t, "broken rules", err, codes.InvalidArgument, fault.FieldInvalid)
	if field := infoOf(err).GetMetadata()["field"]; field != "workspace_id" {
		t.Errorf("the metadata names %q, want the first field", field)
	}
}

// TestErrorOfManyBrokenRulesIsShort sends requests that break a rule in every element.
func TestErrorOfManyBrokenRulesIsShort(t *testing.T) {
	f := newFixture(t, &keys{create: func(*authv1.CreateKeyRequest) { t.Error("a bad request reached the handler") }})
	// Each scope is a violation, and the list is not unique; a list of 1,000 is also too long.
	for scopes, want := range map[int]int{2: 3, 1000: maxViolations - 1, 16_000: 1} {
		_, err := f.client.CreateKey(t.Context(), &authv1.CreateKeyRequest{
			WorkspaceId: "acme", Key: &authv1.Key{Name: "n", AllAgents: true, Scopes: slices.Repeat([]string{"NOT"}, scopes)},
		})
		if found := violations(err); status.Code(err) != codes.InvalidArgument || len(found) != want {
			t.Errorf("%d bad scopes: %.300v with %d violations, want %d", scopes, err, len(found), want)
		}
	}
}

// TestNameOfAFieldIsTruncated sends a map with a long key: the error must fit into the headers of a call.
func TestNameOfAFieldIsTruncated(t *testing.T) {
	f := newFixture(t, &keys{create: func(*authv1.CreateKeyRequest) { t.Error("a bad request reached the handler") }})
	_, err := f.client.CreateKey(t.Context(), &authv1.CreateKeyRequest{
		WorkspaceId: "acme", Key: &authv1.Key{Name: "n", Metadata: map[string]string{strings.Repeat("é", 1<<18): "v"}},
	})
	expectReason(t, "a long key", err, codes.InvalidArgument, fault.FieldInvalid)
	for field := range violations(err) {
		if !strings.HasPrefix(field, `key.metadata["éé`) || len(field) > maxFieldName+len("…") {
			t.Errorf("the field is %q", field)
		}
	}
}
