package grpcapi

import (
	"slices"
	"strings"
	"time"

	"github.com/keytrail/keytrail/authsvc"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/wire"
)

// inputFields are the fields of a key that a caller may set, by their names in the contract. The agent access comes last:
// agent_ids clears all_agents, and the reverse.
var inputFields = []string{
	"name", "description", "external_id", "metadata", "scopes", "disabled", "expire_time", "all_agents", "agent_ids",
}

// outputFields may be named by a mask without effect (AIP-203), so that a client can send back a key that it has read.
var outputFields = []string{"id", "workspace_id", "last4", "create_time", "update_time", "secrets", "etag"}

// fieldsOfMask returns the fields that an update changes.
func fieldsOfMask(paths []string) ([]string, error) {
	var fields []string
	for _, path := range paths {
		name := protoName(path)
		switch {
		case path == "*":
			fields = inputFields
		case slices.Contains(inputFields, name):
			fields = append(slices.Clip(fields), name)
		case !slices.Contains(outputFields, name):
			return nil, fault.InvalidField("update_mask", "cannot change %q; it may name %s", path, strings.Join(inputFields, ", "))
		}
	}
	if len(fields) == 0 {
		return nil, fault.InvalidField("update_mask", "must name at least one of %s", strings.Join(inputFields, ", "))
	}
	return fields, nil
}

// protoName returns the name in the contract of a field that a mask may name as JSON does. A mask cannot name a single
// entry of the metadata.
func protoName(path string) string {
	if field := (*authv1.Key)(nil).ProtoReflect().Descriptor().Fields().ByJSONName(path); field != nil {
		return string(field.Name())
	}
	return path
}

// setFields sets fields of a key to the values of from. Setting one of all_agents and agent_ids clears the other, unless
// fields names both.
func setFields(k *authsvc.Key, from *authv1.Key, fields ...string) error {
	both := slices.Contains(fields, "all_agents") && slices.Contains(fields, "agent_ids")
	for _, field := range fields {
		switch field {
		case "name":
			k.Name = from.GetName()
		case "description":
			k.Description = from.GetDescription()
		case "external_id":
			k.ExternalID = from.GetExternalId()
		case "metadata":
			k.Metadata = from.GetMetadata()
		case "scopes":
			k.Scopes = from.GetScopes()
		case "disabled":
			k.Disabled = from.GetDisabled()
		case "expire_time":
			expires, err := wire.ParseTime("key.expire_time", from.GetExpireTime())
			if err != nil {
				return err
			}
			k.ExpireTime = expires.Truncate(time.Millisecond)
		case "all_agents":
			if k.AllAgents = from.GetAllAgents(); k.AllAgents && !both {
				k.AgentIDs = nil
			}
		case "agent_ids":
			if k.AgentIDs = from.GetAgentIds(); len(k.AgentIDs) > 0 && !both {
				k.AllAgents = false
			}
		}
	}
	return nil
}

func toProto(k *authsvc.Key) *authv1.Key {
	key := &authv1.Key{
		Id: k.ID.String(), WorkspaceId: k.WorkspaceID, Name: k.Name, Description: k.Description, ExternalId: k.ExternalID,
		Metadata: k.Metadata, Last4: k.Last4(), Scopes: k.Scopes, Etag: k.ETag(),
		AllAgents: k.AllAgents, AgentIds: k.AgentIDs, Disabled: k.Disabled, ExpireTime: wire.Time(k.ExpireTime),
		CreateTime: wire.Time(k.CreateTime), UpdateTime: wire.Time(k.UpdateTime),
	}
	for _, s := range k.Secrets {
		key.Secrets = append(key.Secrets, &authv1.Secret{
			Last4: s.Last4, CreateTime: wire.Time(s.CreateTime), ExpireTime: wire.Time(s.ExpireTime),
		})
	}
	return key
}
