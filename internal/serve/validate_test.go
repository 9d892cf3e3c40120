package serve

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

func TestTextThatIsNotUTF8NamesItsField(t *testing.T) {
	handled := 0
	w := newWorld(t, &keys{
		create: func(*authv1.CreateKeyRequest) { handled++ },
		update: func(*authv1.UpdateKeyRequest) { handled++ },
	})
	create := func(change func(*authv1.CreateKeyRequest)) error {
		request := &authv1.CreateKeyRequest{WorkspaceId: "acme", Name: "é", Scopes: []string{"agent"}, AllAgents: true}
		change(request)
		_, err := w.client.CreateKey(t.Context(), request)
		return err
	}
	update := func(key *authv1.Key) error {
		_, err := w.client.UpdateKey(t.Context(), &authv1.UpdateKeyRequest{
			WorkspaceId: "acme", KeyId: someKey.GetKeyId(), Key: key, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"name"}},
		})
		return err
	}
	for field, err := range map[string]error{
		"name":                 create(func(r *authv1.CreateKeyRequest) { r.Name = "a\xff" }),
		"agent_ids[1]":         create(func(r *authv1.CreateKeyRequest) { r.AllAgents, r.AgentIds = false, []string{"a", "\xc0"} }),
		"key.name":             update(&authv1.Key{Name: "\xed\xa0\x80"}),
		"key.scopes[0]":        update(&authv1.Key{Scopes: []string{"\xff"}}),
		"key.secrets[1].last4": update(&authv1.Key{Secrets: []*authv1.Secret{{}, {Last4: "\xff"}}}),
	} {
		if status.Code(err) != codes.InvalidArgument || status.Convert(err).Message() != field+": must be valid UTF-8" {
			t.Errorf("error %v, want INVALID_ARGUMENT for %s", err, field)
		}
		if diff := cmp.Diff(map[string]string{field: "must be valid UTF-8"}, violations(err)); diff != "" {
			t.Errorf("violations (-want +got):\n%s", diff)
		}
	}
	if handled != 0 {
		t.Errorf("%d of the requests came to the handler", handled)
	}
	must(t, create(func(*authv1.CreateKeyRequest) {}))
	must(t, update(&authv1.Key{Name: "🙂", AgentIds: []string{"é"}}))
}

func TestRawFieldsTakeAnyBytes(t *testing.T) {
	var got []string
	w := newWorld(t, &keys{
		create: func(r *authv1.CreateKeyRequest) { got = append(got, r.GetName()) },
		update: func(r *authv1.UpdateKeyRequest) { got = append(got, r.GetKey().GetName()) },
	}, "keytrail.auth.v1.CreateKeyRequest.name", "keytrail.auth.v1.UpdateKeyRequest.key")
	_, err := w.client.CreateKey(t.Context(), &authv1.CreateKeyRequest{
		WorkspaceId: "acme", Name: "a\xff", Scopes: []string{"agent"}, AllAgents: true,
	})
	must(t, err)
	// A field that holds a message is raw with all that is in it.
	_, err = w.client.UpdateKey(t.Context(), &authv1.UpdateKeyRequest{
		WorkspaceId: "acme", KeyId: someKey.GetKeyId(), Key: &authv1.Key{Name: "b\xff"},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"name"}},
	})
	must(t, err)
	if !slices.Equal(got, []string{"a\xff", "b\xff"}) {
		t.Errorf("the handler got %q", got)
	}
}

func TestBrokenRulesNameEveryFieldAndItsReason(t *testing.T) {
	w := newWorld(t, &keys{create: func(*authv1.CreateKeyRequest) { t.Error("a bad request came to the handler") }})
	_, err := w.client.CreateKey(t.Context(), &authv1.CreateKeyRequest{
		WorkspaceId: "Not An Id", Name: strings.Repeat("n", 101), Scopes: []string{"agent", "Not A Scope"}, AllAgents: true, AgentIds: []string{"a"},
	})
	st, found := status.Convert(err), violations(err)
	if st.Code() != codes.InvalidArgument {
		t.Fatalf("answered %v, want INVALID_ARGUMENT", err)
	}
	for _, field := range []string{"workspace_id", "name", "scopes[1]", "agent_ids"} {
		if found[field] == "" || !strings.Contains(st.Message(), field+": "+found[field]) {
			t.Errorf("%s has the reason %q; the text is %q", field, found[field], st.Message())
		}
	}
	if len(found) != 4 {
		t.Errorf("violations %v, want 4", found)
	}
	if found["agent_ids"] != "set either all_agents or at least one of agent_ids" {
		t.Errorf("the rule over two fields says %q", found["agent_ids"])
	}
}

// TestManyBrokenRulesAreFewWords sends requests that break a rule in every element: what is said of them must neither be
// as long as they are nor take as long as all of it.
func TestManyBrokenRulesAreFewWords(t *testing.T) {
	w := newWorld(t, &keys{create: func(*authv1.CreateKeyRequest) { t.Error("a bad request came to the handler") }})
	// So many fields: each scope, and the list for not being unique; that of 1,000 is also too long.
	for scopes, want := range map[int]int{2: 3, 1000: maxViolations - 1, 16_000: 1} {
		_, err := w.client.CreateKey(t.Context(), &authv1.CreateKeyRequest{
			WorkspaceId: "acme", Name: "n", AllAgents: true, Scopes: slices.Repeat([]string{"NOT"}, scopes),
		})
		if found := violations(err); status.Code(err) != codes.InvalidArgument || len(found) != want {
			t.Errorf("%d bad scopes: %.300v with %d violations, want %d", scopes, err, len(found), want)
		}
	}
}
