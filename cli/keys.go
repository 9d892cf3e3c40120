package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

type keysCommand struct {
	Create       keysCreate       `cmd:"" help:"Create a key and show its secret, once."`
	List         keysList         `cmd:"" help:"List the keys of a workspace, newest first."`
	Get          keysGet          `cmd:"" help:"Show one key."`
	Update       keysUpdate       `cmd:"" help:"Change what can be changed of a key."`
	AddAgents    keysAddAgents    `cmd:"" help:"Add agents to the allowlist of a key."`
	RemoveAgents keysRemoveAgents `cmd:"" help:"Remove agents from the allowlist of a key."`
	Disable      keysDisable      `cmd:"" help:"Disable a key: its calls are refused."`
	Enable       keysEnable       `cmd:"" help:"Enable a disabled key."`
	Rotate       keysRotate       `cmd:"" help:"Give a key a new secret and show it, once."`
	Delete       keysDelete       `cmd:"" help:"Delete a key, for good."`
}

// keyFlags are what every command on keys takes.
type keyFlags struct {
	authFlags     `embed:""`
	workspaceFlag `embed:""`
	outputFlag    `embed:""`
}

// oneKey is what every command on one key takes.
type oneKey struct {
	keyFlags `embed:""`
	ID       string `arg:"" help:"The id of the key."`
}

type keysCreate struct {
	keyFlags    `embed:""`
	Name        string            `env:"-" required:"" help:"A name for people."`
	Scopes      []string          `env:"-" sep:"none" name:"scope" required:"" help:"An agent type that the key may call: agent, data_agent, voice_agent. Repeat it for more."`
	AllAgents   bool              `env:"-" xor:"access" help:"Let the key call every agent of the workspace."`
	AgentIDs    []string          `env:"-" sep:"none" name:"agent" xor:"access" help:"An agent that the key may call, by id. Repeat it for more."`
	ExpiresIn   time.Duration     `env:"-" help:"How long the key lives, e.g. 2160h; without it, until it is deleted."`
	Description string            `env:"-" help:"A note for people."`
	ExternalID  string            `env:"-" name:"external-id" help:"The owner of the key in your own words, e.g. a customer's id."`
	Metadata    map[string]string `env:"-" mapsep:"none" help:"What every allowed check returns: NAME=VALUE. Repeat it for more."`
	RequestID   string            `env:"-" name:"request-id" help:"A UUID of your own: repeated within 24 hours it makes no second key."`
}

// Run prints the secret to the standard output and all else to the standard error, so that a script can catch it.
func (c *keysCreate) Run(ctx context.Context, to console) error {
	return c.withKeys(ctx, func(ctx context.Context, keys authv1.KeyServiceClient) error {
		key := &authv1.Key{
			Name: c.Name, Scopes: c.Scopes, AllAgents: c.AllAgents, AgentIds: c.AgentIDs,
			Description: c.Description, ExternalId: c.ExternalID, Metadata: c.Metadata,
		}
		if c.ExpiresIn != 0 {
			key.ExpireTime = timestamppb.New(time.Now().Add(c.ExpiresIn))
		}
		answer, err := keys.CreateKey(ctx, &authv1.CreateKeyRequest{WorkspaceId: c.Workspace, Key: key, RequestId: c.RequestID})
		if err != nil {
			return err
		}
		if c.json() {
			return printJSON(to.out, answer)
		}
		return printSecret(to, answer.GetKey(), answer.GetSecret())
	})
}

type keysList struct {
	keyFlags   `embed:""`
	Query      string `env:"-" help:"Only keys whose name contains this text, or one of whose secrets ends with these 4 characters."`
	ExternalID string `env:"-" name:"external-id" help:"Only keys of this owner."`
	State      string `env:"-" enum:",enabled,disabled,expired" default:"" help:"Only enabled, disabled or expired keys."`
}

// Run lists all pages.
func (c *keysList) Run(ctx context.Context, to console) error {
	return c.withKeys(ctx, func(ctx context.Context, keys authv1.KeyServiceClient) error {
		all := &authv1.ListKeysResponse{}
		request := &authv1.ListKeysRequest{WorkspaceId: c.Workspace, PageSize: 1000, Query: c.Query, ExternalId: c.ExternalID, State: c.State}
		for more := true; more; more = request.PageToken != "" {
			page, err := keys.ListKeys(ctx, request)
			if err != nil {
				return err
			}
			all.Keys = append(all.Keys, page.GetKeys()...)
			request.PageToken = page.GetNextPageToken()
		}
		if c.json() {
			return printJSON(to.out, all)
		}
		return printKeys(to, all.GetKeys()...)
	})
}

type keysGet struct {
	oneKey `embed:""`
}

// Run shows one key.
func (c *keysGet) Run(ctx context.Context, to console) error {
	return c.withKeys(ctx, func(ctx context.Context, keys authv1.KeyServiceClient) error {
		answer, err := keys.GetKey(ctx, &authv1.GetKeyRequest{WorkspaceId: c.Workspace, KeyId: c.ID})
		return c.printChanged(to, answer, err)
	})
}

type keysUpdate struct {
	oneKey      `embed:""`
	Name        string            `env:"-" help:"A new name."`
	Scopes      []string          `env:"-" sep:"none" name:"scope" help:"The agent types that the key may call, in place of those it has."`
	AllAgents   bool              `env:"-" xor:"access" help:"Let the key call every agent of the workspace."`
	AgentIDs    []string          `env:"-" sep:"none" name:"agent" xor:"access" help:"The agents that the key may call, in place of those it has."`
	ExpiresIn   time.Duration     `env:"-" xor:"expiry" help:"How long the key lives from now on."`
	NeverExpire bool              `env:"-" xor:"expiry" help:"Let the key live until it is deleted."`
	Description *string           `env:"-" help:"A note for people, in place of the one it has."`
	ExternalID  *string           `env:"-" name:"external-id" help:"The owner of the key, in place of the one it has."`
	Metadata    map[string]string `env:"-" mapsep:"none" help:"What every allowed check returns, in place of what it has: NAME=VALUE. Repeat it for more."`
}

// Run changes what was given.
func (c *keysUpdate) Run(ctx context.Context, to console) error {
	key, mask := &authv1.Key{}, &fieldmaskpb.FieldMask{}
	set := func(given bool, field string, change func()) {
		if given {
			change()
			mask.Paths = append(mask.Paths, field)
		}
	}
	set(c.Name != "", "name", func() { key.Name = c.Name })
	set(c.Description != nil, "description", func() { key.Description = *c.Description })
	set(c.ExternalID != nil, "external_id", func() { key.ExternalId = *c.ExternalID })
	set(len(c.Metadata) > 0, "metadata", func() { key.Metadata = c.Metadata })
	set(len(c.Scopes) > 0, "scopes", func() { key.Scopes = c.Scopes })
	set(c.AllAgents, "all_agents", func() { key.AllAgents = true })
	set(len(c.AgentIDs) > 0, "agent_ids", func() { key.AgentIds = c.AgentIDs })
	set(c.ExpiresIn != 0, "expire_time", func() { key.ExpireTime = timestamppb.New(time.Now().Add(c.ExpiresIn)) })
	set(c.NeverExpire, "expire_time", func() {})
	if len(mask.Paths) == 0 {
		return fmt.Errorf("nothing to change: give at least one of --name, --description, --external-id, --metadata, --scope, --all-agents, --agent, --expires-in and --never-expire")
	}
	return c.update(ctx, to, key, mask)
}

type keysDisable struct {
	oneKey `embed:""`
}

// Run disables the key.
func (c *keysDisable) Run(ctx context.Context, to console) error {
	return c.update(ctx, to, &authv1.Key{Disabled: true}, &fieldmaskpb.FieldMask{Paths: []string{"disabled"}})
}

type keysEnable struct {
	oneKey `embed:""`
}

// Run enables the key.
func (c *keysEnable) Run(ctx context.Context, to console) error {
	return c.update(ctx, to, &authv1.Key{}, &fieldmaskpb.FieldMask{Paths: []string{"disabled"}})
}

func (c *oneKey) update(ctx context.Context, to console, key *authv1.Key, mask *fieldmaskpb.FieldMask) error {
	return c.withKeys(ctx, func(ctx context.Context, keys authv1.KeyServiceClient) error {
		answer, err := keys.UpdateKey(ctx, &authv1.UpdateKeyRequest{
			WorkspaceId: c.Workspace, KeyId: c.ID, Key: key, UpdateMask: mask,
		})
		return c.printChanged(to, answer, err)
	})
}

// printChanged prints the key of an answer.
func (c *oneKey) printChanged(to console, answer interface {
	proto.Message
	GetKey() *authv1.Key
}, err error) error {
	if err != nil {
		return err
	}
	if c.json() {
		return printJSON(to.out, answer)
	}
	return printKeys(to, answer.GetKey())
}

type keysAddAgents struct {
	oneKey `embed:""`
	Agents []string `arg:"" help:"The agents, by id."`
}

// Run adds the agents.
func (c *keysAddAgents) Run(ctx context.Context, to console) error {
	return c.withKeys(ctx, func(ctx context.Context, keys authv1.KeyServiceClient) error {
		answer, err := keys.AddKeyAgents(ctx, &authv1.AddKeyAgentsRequest{WorkspaceId: c.Workspace, KeyId: c.ID, AgentIds: c.Agents})
		return c.printChanged(to, answer, err)
	})
}

type keysRemoveAgents struct {
	oneKey `embed:""`
	Agents []string `arg:"" help:"The agents, by id."`
}

// Run removes the agents.
func (c *keysRemoveAgents) Run(ctx context.Context, to console) error {
	return c.withKeys(ctx, func(ctx context.Context, keys authv1.KeyServiceClient) error {
		answer, err := keys.RemoveKeyAgents(ctx, &authv1.RemoveKeyAgentsRequest{WorkspaceId: c.Workspace, KeyId: c.ID, AgentIds: c.Agents})
		return c.printChanged(to, answer, err)
	})
}

type keysRotate struct {
	oneKey    `embed:""`
	Grace     time.Duration `env:"-" default:"24h" help:"How long the earlier secrets live on; 0 = they end at once."`
	RequestID string        `env:"-" name:"request-id" help:"A UUID of your own: repeated within 24 hours it makes no second secret."`
}

// Run prints the new secret as create does.
func (c *keysRotate) Run(ctx context.Context, to console) error {
	return c.withKeys(ctx, func(ctx context.Context, keys authv1.KeyServiceClient) error {
		answer, err := keys.RotateKey(ctx, &authv1.RotateKeyRequest{
			WorkspaceId: c.Workspace, KeyId: c.ID, GracePeriod: durationpb.New(c.Grace), RequestId: c.RequestID,
		})
		if err != nil {
			return err
		}
		if c.json() {
			return printJSON(to.out, answer)
		}
		return printSecret(to, answer.GetKey(), answer.GetSecret())
	})
}

type keysDelete struct {
	oneKey `embed:""`
}

// Run deletes the key.
func (c *keysDelete) Run(ctx context.Context, to console) error {
	return c.withKeys(ctx, func(ctx context.Context, keys authv1.KeyServiceClient) error {
		answer, err := keys.DeleteKey(ctx, &authv1.DeleteKeyRequest{WorkspaceId: c.Workspace, KeyId: c.ID})
		if err != nil {
			return err
		}
		if c.json() {
			return printJSON(to.out, answer)
		}
		_, err = fmt.Fprintf(to.err, "Deleted key %s. Its request logs stay.\n", c.ID)
		return err
	})
}

func printSecret(to console, key *authv1.Key, secret string) error {
	fmt.Fprintf(to.err, "Key %q (%s) of workspace %s. Its secret is shown only now:\n", key.GetName(), key.GetId(), key.GetWorkspaceId())
	_, err := fmt.Fprintln(to.out, secret)
	return err
}

func printKeys(to console, keys ...*authv1.Key) error {
	t := newTable(to.out, "ID", "NAME", "EXTERNAL ID", "LAST4", "SCOPES", "AGENTS", "STATE", "EXPIRES", "CREATED")
	for _, k := range keys {
		t.row(k.GetId(), k.GetName(), orDash(k.GetExternalId()), k.GetLast4(), strings.Join(k.GetScopes(), ","), agents(k), state(k),
			instant(k.GetExpireTime()), instant(k.GetCreateTime()))
	}
	return t.flush()
}

func agents(k *authv1.Key) string {
	if k.GetAllAgents() {
		return "all"
	}
	return strings.Join(k.GetAgentIds(), ",")
}

func state(k *authv1.Key) string {
	switch {
	case k.GetDisabled():
		return "disabled"
	case k.GetExpireTime() != nil && !time.Now().Before(k.GetExpireTime().AsTime()):
		return "expired"
	}
	return "enabled"
}
