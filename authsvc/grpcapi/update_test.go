package grpcapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/keytrail/keytrail/authsvc"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/fault"
)

// whole returns new values for every field of a key.
func whole(f *fixture) *authv1.Key {
	return &authv1.Key{
		Name: "renamed", Description: "a note", ExternalId: "customer 7", Metadata: map[string]string{"plan": "gold"}, Scopes: []string{"voice_agent"}, AgentIds: []string{"a9"}, Disabled: true,
		ExpireTime: timestamppb.New(f.now.Add(time.Hour)),
	}
}

func TestUpdateChangesWhatTheMaskNamesAndNothingElse(t *testing.T) {
	f := newFixture(t)
	keys := authv1.NewKeyServiceClient(f.dial(t))
	full := whole(f)
	for name, tt := range map[string]struct {
		paths []string
		from  *authv1.Key
		want  func(*authv1.Key)
	}{
		"the name":         {[]string{"name"}, full, func(k *authv1.Key) { k.Name = "renamed" }},
		"the scopes":       {[]string{"scopes"}, full, func(k *authv1.Key) { k.Scopes = full.GetScopes() }},
		"disabled":         {[]string{"disabled"}, full, func(k *authv1.Key) { k.Disabled = true }},
		"the expiry":       {[]string{"expire_time"}, full, func(k *authv1.Key) { k.ExpireTime = full.GetExpireTime() }},
		"the description":  {[]string{"description"}, full, func(k *authv1.Key) { k.Description = "a note" }},
		"the owner":        {[]string{"externalId"}, full, func(k *authv1.Key) { k.ExternalId = "customer 7" }},
		"the metadata":     {[]string{"metadata"}, full, func(k *authv1.Key) { k.Metadata = full.GetMetadata() }},
		"no more metadata": {[]string{"metadata"}, &authv1.Key{}, func(k *authv1.Key) { k.Metadata = nil }},
		"no more expiry":   {[]string{"expire_time"}, &authv1.Key{}, func(k *authv1.Key) { k.ExpireTime = nil }},
		"two fields": {[]string{"name", "disabled"}, full, func(k *authv1.Key) {
			k.Name, k.Disabled = "renamed", true
		}},
		"agents take all agents away": {[]string{"agent_ids"}, full, func(k *authv1.Key) {
			k.AllAgents, k.AgentIds = false, []string{"a9"}
		}},
		"agents of a key sent back as it was": {[]string{"agent_ids"}, &authv1.Key{Name: "x", AllAgents: true, AgentIds: []string{"a9"}}, func(k *authv1.Key) {
			k.AllAgents, k.AgentIds = false, []string{"a9"}
		}},
		"fields as JSON spells them": {[]string{"expireTime", "agentIds"}, full, func(k *authv1.Key) {
			k.ExpireTime, k.AllAgents, k.AgentIds = full.GetExpireTime(), false, []string{"a9"}
		}},
		"output-only fields beside another": {
			[]string{"id", "workspace_id", "name", "last4", "create_time", "updateTime", "secrets", "etag"}, full,
			func(k *authv1.Key) { k.Name = "renamed" },
		},
		"everything": {[]string{"*"}, full, func(k *authv1.Key) {
			k.Name, k.Scopes, k.AllAgents, k.AgentIds = "renamed", []string{"voice_agent"}, false, []string{"a9"}
			k.Disabled, k.ExpireTime = true, full.GetExpireTime()
			k.Description, k.ExternalId, k.Metadata = "a note", "customer 7", full.GetMetadata()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			key, _ := f.create(t, func(k *authsvc.Key) {
				k.ExpireTime, k.Metadata = f.now.Add(time.Minute), map[string]string{"old": "entry"}
			})
			want := get(t, keys, key)
			etag := want.GetEtag()
			response, err := keys.UpdateKey(t.Context(), &authv1.UpdateKeyRequest{
				WorkspaceId: "acme", KeyId: want.GetId(), Key: tt.from, UpdateMask: &fieldmaskpb.FieldMask{Paths: tt.paths},
			})
			must(t, err)
			tt.want(want)
			if want.Etag = response.GetKey().GetEtag(); want.Etag == etag {
				t.Error("the etag has not changed")
			}
			for how, got := range map[string]*authv1.Key{"returned": response.GetKey(), "stored": get(t, keys, key)} {
				if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
					t.Errorf("the %s key (-want +got):\n%s", how, diff)
				}
			}
		})
	}
}

func get(t *testing.T, keys authv1.KeyServiceClient, key authsvc.Key) *authv1.Key {
	t.Helper()
	response, err := keys.GetKey(t.Context(), &authv1.GetKeyRequest{WorkspaceId: "acme", KeyId: key.ID.String()})
	must(t, err)
	return proto.CloneOf(response.GetKey())
}

func TestAllAgentsTakeTheListAway(t *testing.T) {
	f := newFixture(t)
	key, _ := f.create(t, func(k *authsvc.Key) { k.AllAgents, k.AgentIDs = false, []string{"a1"} })
	keys := authv1.NewKeyServiceClient(f.dial(t))
	response, err := keys.UpdateKey(t.Context(), &authv1.UpdateKeyRequest{
		WorkspaceId: "acme", KeyId: key.ID.String(), Key: &authv1.Key{AllAgents: true, AgentIds: []string{"a1"}},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"all_agents"}},
	})
	must(t, err)
	if got := response.GetKey(); !got.GetAllAgents() || len(got.GetAgentIds()) != 0 {
		t.Errorf("the key is %v, want all agents and no list", got)
	}
}

func TestMalformedUpdatesNameTheField(t *testing.T) {
	f := newFixture(t)
	key, _ := f.create(t, nil)
	keys := authv1.NewKeyServiceClient(f.dial(t))
	mask := func(paths ...string) *fieldmaskpb.FieldMask { return &fieldmaskpb.FieldMask{Paths: paths} }
	for name, tt := range map[string]struct {
		field string
		from  *authv1.Key
		mask  *fieldmaskpb.FieldMask
	}{
		"no mask":                 {"update_mask", whole(f), nil},
		"an empty mask":           {"update_mask", whole(f), mask()},
		"an unknown field":        {"update_mask", whole(f), mask("name", "colour")},
		"output-only fields":      {"update_mask", whole(f), mask("id", "workspace_id", "last4", "create_time", "updateTime", "secrets")},
		"one it only returns":     {"update_mask", whole(f), mask("name", "secrets.last4")},
		"a field within a field":  {"update_mask", whole(f), mask("expire_time.seconds")},
		"no key":                  {"key", nil, mask("name")},
		"a blank name":            {"key.name", &authv1.Key{Name: " "}, mask("name")},
		"an unknown scope":        {"key.scopes[0]", &authv1.Key{Scopes: []string{"robot"}}, mask("scopes")},
		"no scopes":               {"key.scopes", &authv1.Key{}, mask("scopes")},
		"no agents":               {"key.agent_ids", &authv1.Key{}, mask("all_agents")},
		"an empty list of agents": {"key.agent_ids", &authv1.Key{Name: "n", Scopes: []string{"agent"}}, mask("*")},
		"metadata over 4 KiB":     {"key.metadata", &authv1.Key{Metadata: map[string]string{"a": strings.Repeat("b", 2048), "c": strings.Repeat("d", 2047)}}, mask("metadata")},
		"a bad metadata key":      {`key.metadata["a b"]`, &authv1.Key{Metadata: map[string]string{"a b": ""}}, mask("metadata")},
		"one metadata entry":      {"update_mask", whole(f), mask("metadata.plan")},
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

func TestKeyWhoseScopeHasLeftTheCatalogCanBeChanged(t *testing.T) {
	f := newFixture(t)
	key, secret := f.create(t, func(k *authsvc.Key) { k.Scopes = []string{"agent", "voice_agent"} })
	smaller := authsvc.AgentTypes{{Name: "agent", Label: "Agent"}, {Name: "data_agent", Label: "Data Agent"}}
	f.keys = authsvc.NewKeys(f.store, f.keyring, smaller, authsvc.Quota{}, f.clock)
	keys := authv1.NewKeyServiceClient(f.dial(t))
	update := func(from *authv1.Key, paths ...string) error {
		_, err := keys.UpdateKey(t.Context(), &authv1.UpdateKeyRequest{
			WorkspaceId: "acme", KeyId: key.ID.String(), Key: from, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths},
		})
		return err
	}
	must(t, update(&authv1.Key{Disabled: true}, "disabled"))
	decision, err := f.checker.Check(t.Context(), secret.Reveal(), authsvc.Call{AgentType: "agent"})
	must(t, err)
	if decision.Entry.ErrorCode != authsvc.Disabled {
		t.Errorf("a check returns %q, want %q", decision.Entry.ErrorCode, authsvc.Disabled)
	}
	must(t, update(&authv1.Key{Scopes: []string{"voice_agent", "data_agent"}}, "scopes"))
	must(t, update(&authv1.Key{Scopes: []string{"data_agent"}}, "scopes"))
	expectBad(t, update(&authv1.Key{Scopes: []string{"voice_agent"}}, "scopes"), "key.scopes[0]")
}

func TestEtagKeepsChangesOfOthers(t *testing.T) {
	f := newFixture(t)
	made, _ := f.create(t, nil)
	keys := authv1.NewKeyServiceClient(f.dial(t))
	read := get(t, keys, made)
	update := func(name, etag string) (*authv1.UpdateKeyResponse, error) {
		return keys.UpdateKey(t.Context(), &authv1.UpdateKeyRequest{
			WorkspaceId: "acme", KeyId: read.GetId(), Key: &authv1.Key{Name: name, Etag: etag}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"name"}},
		})
	}
	changed, err := update("first", read.GetEtag())
	must(t, err)
	_, err = update("second", read.GetEtag())
	expectReason(t, err, codes.Aborted, fault.ETagMismatch)
	_, err = keys.DeleteKey(t.Context(), &authv1.DeleteKeyRequest{WorkspaceId: "acme", KeyId: read.GetId(), Etag: read.GetEtag()})
	expectReason(t, err, codes.Aborted, fault.ETagMismatch)
	now := get(t, keys, made)
	if now.GetName() != "first" || now.GetEtag() != changed.GetKey().GetEtag() {
		t.Errorf("the key is %v", now)
	}
	_, err = update("third", "")
	must(t, err)
	_, err = keys.DeleteKey(t.Context(), &authv1.DeleteKeyRequest{WorkspaceId: "acme", KeyId: read.GetId(), Etag: get(t, keys, made).GetEtag()})
	must(t, err)
}

func TestAgentsAreAddedAndRemovedOneByOne(t *testing.T) {
	f := newFixture(t)
	key, _ := f.create(t, func(k *authsvc.Key) { k.AllAgents, k.AgentIDs = false, []string{"a1", "a2"} })
	all, _ := f.create(t, nil)
	keys := authv1.NewKeyServiceClient(f.dial(t))
	add := func(id uuid.UUID, agents ...string) ([]string, error) {
		response, err := keys.AddKeyAgents(t.Context(), &authv1.AddKeyAgentsRequest{WorkspaceId: "acme", KeyId: id.String(), AgentIds: agents})
		return response.GetKey().GetAgentIds(), err
	}
	remove := func(id uuid.UUID, agents ...string) ([]string, error) {
		response, err := keys.RemoveKeyAgents(t.Context(), &authv1.RemoveKeyAgentsRequest{WorkspaceId: "acme", KeyId: id.String(), AgentIds: agents})
		return response.GetKey().GetAgentIds(), err
	}
	expect := func(want ...string) func([]string, error) {
		return func(got []string, err error) {
			t.Helper()
			if must(t, err); !slices.Equal(got, want) || !slices.Equal(get(t, keys, key).GetAgentIds(), want) {
				t.Errorf("the allowlist is %v, want %v", got, want)
			}
		}
	}
	expect("a1", "a2", "a3")(add(key.ID, "a2", "a3"))
	expect("a2", "a3")(remove(key.ID, "a1", "a9"))
	_, err := remove(key.ID, "a2", "a3")
	expectReason(t, err, codes.FailedPrecondition, fault.AgentAccessConflict)
	many := make([]string, authsvc.MaxAgents)
	for i := range many {
		many[i] = fmt.Sprint("m", i)
	}
	_, err = add(key.ID, many...)
	expectReason(t, err, codes.FailedPrecondition, fault.AgentAccessConflict)
	expect("a2", "a3")(add(key.ID, "a3"))
	_, err = add(all.ID, "a1")
	expectReason(t, err, codes.FailedPrecondition, fault.AgentAccessConflict)
	_, err = remove(all.ID, "a1")
	expectReason(t, err, codes.FailedPrecondition, fault.AgentAccessConflict)
	_, err = add(key.ID)
	expectBad(t, err, "agent_ids")
}
