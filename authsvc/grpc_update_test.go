package authsvc_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/keytrail/keytrail/authsvc"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

// whole is new values for every field of a key.
func whole(w *world) *authv1.Key {
	return &authv1.Key{
		Name: "renamed", Scopes: []string{"voice_agent"}, AgentIds: []string{"a9"}, Disabled: true,
		ExpireTime: timestamppb.New(w.clock.now.Add(time.Hour)),
	}
}

func TestUpdateChangesWhatTheMaskNamesAndNothingElse(t *testing.T) {
	w := newWorld(t)
	keys := authv1.NewKeyServiceClient(w.dial(t))
	full := whole(w)
	for name, tt := range map[string]struct {
		paths []string
		from  *authv1.Key
		want  func(*authv1.Key)
	}{
		"the name":       {[]string{"name"}, full, func(k *authv1.Key) { k.Name = "renamed" }},
		"the scopes":     {[]string{"scopes"}, full, func(k *authv1.Key) { k.Scopes = full.GetScopes() }},
		"disabled":       {[]string{"disabled"}, full, func(k *authv1.Key) { k.Disabled = true }},
		"the expiry":     {[]string{"expire_time"}, full, func(k *authv1.Key) { k.ExpireTime = full.GetExpireTime() }},
		"no more expiry": {[]string{"expire_time"}, &authv1.Key{}, func(k *authv1.Key) { k.ExpireTime = nil }},
		"two fields": {[]string{"name", "disabled"}, full, func(k *authv1.Key) {
			k.Name, k.Disabled = "renamed", true
		}},
		"agents take all agents away": {[]string{"agent_ids"}, full, func(k *authv1.Key) {
			k.AllAgents, k.AgentIds = false, []string{"a9"}
		}},
		"fields as JSON spells them": {[]string{"expireTime", "agentIds"}, full, func(k *authv1.Key) {
			k.ExpireTime, k.AllAgents, k.AgentIds = full.GetExpireTime(), false, []string{"a9"}
		}},
		"output-only fields beside another": {
			[]string{"id", "workspace_id", "name", "last4", "create_time", "updateTime", "secrets"}, full,
			func(k *authv1.Key) { k.Name = "renamed" },
		},
		"everything": {[]string{"*"}, full, func(k *authv1.Key) {
			k.Name, k.Scopes, k.AllAgents, k.AgentIds = "renamed", []string{"voice_agent"}, false, []string{"a9"}
			k.Disabled, k.ExpireTime = true, full.GetExpireTime()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			key, _ := w.create(t, func(k *authsvc.Key) { k.ExpireTime = w.clock.now.Add(time.Minute) })
			want := get(t, keys, key)
			answer, err := keys.UpdateKey(t.Context(), &authv1.UpdateKeyRequest{
				WorkspaceId: "acme", KeyId: want.GetId(), Key: tt.from, UpdateMask: &fieldmaskpb.FieldMask{Paths: tt.paths},
			})
			must(t, err)
			tt.want(want)
			for how, got := range map[string]*authv1.Key{"answered": answer.GetKey(), "stored": get(t, keys, key)} {
				if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
					t.Errorf("the %s key (-want +got):\n%s", how, diff)
				}
			}
		})
	}
}

func get(t *testing.T, keys authv1.KeyServiceClient, key authsvc.Key) *authv1.Key {
	t.Helper()
	answer, err := keys.GetKey(t.Context(), &authv1.GetKeyRequest{WorkspaceId: "acme", KeyId: key.ID.String()})
	must(t, err)
	return proto.CloneOf(answer.GetKey())
}

func TestAllAgentsTakeTheListAway(t *testing.T) {
	w := newWorld(t)
	key, _ := w.create(t, func(k *authsvc.Key) { k.AllAgents, k.AgentIDs = false, []string{"a1"} })
	keys := authv1.NewKeyServiceClient(w.dial(t))
	answer, err := keys.UpdateKey(t.Context(), &authv1.UpdateKeyRequest{
		WorkspaceId: "acme", KeyId: key.ID.String(), Key: &authv1.Key{AllAgents: true},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"all_agents"}},
	})
	must(t, err)
	if got := answer.GetKey(); !got.GetAllAgents() || len(got.GetAgentIds()) != 0 {
		t.Errorf("the key is %v, want all agents and no list", got)
	}
}

func TestMalformedUpdatesNameTheField(t *testing.T) {
	w := newWorld(t)
	key, _ := w.create(t, nil)
	keys := authv1.NewKeyServiceClient(w.dial(t))
	mask := func(paths ...string) *fieldmaskpb.FieldMask { return &fieldmaskpb.FieldMask{Paths: paths} }
	for name, tt := range map[string]struct {
		field string
		from  *authv1.Key
		mask  *fieldmaskpb.FieldMask
	}{
		"no mask":                 {"update_mask", whole(w), nil},
		"an empty mask":           {"update_mask", whole(w), mask()},
		"an unknown field":        {"update_mask", whole(w), mask("name", "colour")},
		"output-only fields":      {"update_mask", whole(w), mask("id", "workspace_id", "last4", "create_time", "updateTime", "secrets")},
		"one it only answers":     {"update_mask", whole(w), mask("name", "secrets.last4")},
		"a field within a field":  {"update_mask", whole(w), mask("expire_time.seconds")},
		"no key":                  {"key", nil, mask("name")},
		"a blank name":            {"name", &authv1.Key{Name: " "}, mask("name")},
		"an unknown scope":        {"scopes[0]", &authv1.Key{Scopes: []string{"robot"}}, mask("scopes")},
		"no scopes":               {"scopes", &authv1.Key{}, mask("scopes")},
		"no agents":               {"agent_ids", &authv1.Key{}, mask("all_agents")},
		"an empty list of agents": {"agent_ids", &authv1.Key{Name: "n", Scopes: []string{"agent"}}, mask("*")},
		"a name not in UTF-8":     {"key.name", &authv1.Key{Name: "\xff"}, mask("name")},
		"an agent not in UTF-8":   {"key.agent_ids[1]", &authv1.Key{AgentIds: []string{"a", "\xff"}}, mask("agent_ids")},
		"an expiry out of range":  {"key.expire_time", &authv1.Key{ExpireTime: &timestamppb.Timestamp{Nanos: -1}}, mask("expire_time")},
	} {
		t.Run(name, func(t *testing.T) {
			before := get(t, keys, key)
			_, err := keys.UpdateKey(t.Context(), &authv1.UpdateKeyRequest{
				WorkspaceId: "acme", KeyId: key.ID.String(), Key: tt.from, UpdateMask: tt.mask,
			})
			expectBad(t, err, tt.field)
			if diff := cmp.Diff(before, get(t, keys, key), protocmp.Transform()); diff != "" {
				t.Errorf("the refused update changed the key (-before +after):\n%s", diff)
			}
		})
	}
}
