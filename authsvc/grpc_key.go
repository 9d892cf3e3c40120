package authsvc

import (
	"slices"
	"strings"
	"time"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/wire"
)

// changeable are the fields of a key that a caller may set, as the contract spells them. Agents come last: naming some of
// them takes all_agents away, and the reverse.
var changeable = []string{
	"name", "description", "external_id", "metadata", "scopes", "disabled", "expire_time", "all_agents", "agent_ids",
}

// outputOnly are the fields that a mask may name without effect (AIP-203), so that a key can be sent back as it was
// returned.
var outputOnly = []string{"id", "workspace_id", "last4", "create_time", "update_time", "secrets", "etag"}

// masked returns the fields that an update changes.
func masked(paths []string) ([]string, error) {
	var fields []string
	for _, path := range paths {
		name := fieldOfKey(path)
		switch {
		case path == "*":
			fields = changeable
		case slices.Contains(changeable, name):
			fields = append(slices.Clip(fields), name)
		case !slices.Contains(outputOnly, name):
			return nil, fault.InvalidField("update_mask", "cannot change %q; it may name %s", path, strings.Join(changeable, ", "))
		}
	}
	if len(fields) == 0 {
		return nil, fault.InvalidField("update_mask", "must name at least one of %s", strings.Join(changeable, ", "))
	}
	return fields, nil
}

// fieldOfKey returns how the contract spells a path of a mask, which may spell it as JSON does. A single entry of the
// metadata cannot be named.
func fieldOfKey(path string) string {
	if field := (*authv1.Key)(nil).ProtoReflect().Descriptor().Fields().ByJSONName(path); field != nil {
		return string(field.Name())
	}
	return path
}

// assign sets fields of a key to the values of from. Of the two forms of agent access one that is not named is taken away
// by the other, whatever from says of it.
func assign(k *Key, from *authv1.Key, fields ...string) error {
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

// proto returns the key as the contract writes it.
func (k *Key) proto() *authv1.Key {
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
