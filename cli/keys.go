package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

type keysCommand struct {
	Create       keysCreate       `cmd:"" help:"Create a key and print its secret, once."`
	List         keysList         `cmd:"" help:"List the keys of a workspace, newest first."`
	Get          keysGet          `cmd:"" help:"Show a key."`
	Update       keysUpdate       `cmd:"" help:"Change the settings of a key."`
	AddAgents    keysAddAgents    `cmd:"" help:"Add agents to the allowlist of a key."`
	RemoveAgents keysRemoveAgents `cmd:"" help:"Remove agents from the allowlist of a key."`
	Disable      keysDisable      `cmd:"" help:"Disable a key. Its calls are denied."`
	Enable       keysEnable       `cmd:"" help:"Enable a disabled key."`
	Rotate       keysRotate       `cmd:"" help:"Create a new secret for a key and print it, once."`
	Delete       keysDelete       `cmd:"" help:"Delete a key permanently."`
}

// keyFlags are the flags of every command on keys.
type keyFlags struct {
	authFlags     `embed:""`
	workspaceFlag `embed:""`
	outputFlag    `embed:""`
}

// oneKey are the flags of every command on one key.
type oneKey struct {
	keyFlags `embed:""`
	ID       string `arg:"" help:"ID of the key."`
}

// callKeys makes one call and prints the response: as JSON, or with print.
func callKeys[Request any, Response proto.Message](ctx context.Context, to console, flags keyFlags,
	method func(authv1.KeyServiceClient, context.Context, Request, ...grpc.CallOption) (Response, error), request Request,
	print func(console, Response) error,
) error {
	return flags.connect(func(conn *grpc.ClientConn) error {
		response, err := method(authv1.NewKeyServiceClient(conn), ctx, request)
		if err != nil {
			return err
		}
		return flags.print(to, response, func() error { return print(to, response) })
	})
}

type keysCreate struct {
	keyFlags    `embed:""`
	Name        string            `env:"-" required:"" help:"Display name."`
	Scopes      []string          `env:"-" sep:"none" name:"scope" required:"" help:"Agent type that the key may call: agent, data_agent or voice_agent. Can be repeated."`
	AllAgents   bool              `env:"-" xor:"access" help:"Allow calls of every agent of the workspace."`
	AgentIDs    []string          `env:"-" sep:"none" name:"agent" xor:"access" help:"ID of an agent that the key may call. Can be repeated."`
	ExpiresIn   time.Duration     `env:"-" help:"Lifetime of the key, e.g. 2160h (default: unlimited)."`
	Description string            `env:"-" help:"Free-form note."`
	ExternalID  string            `env:"-" name:"external-id" help:"Owner of the key in your system, e.g. a customer ID."`
	Metadata    map[string]string `env:"-" mapsep:"none" help:"NAME=VALUE to return with every allowed check. Can be repeated."`
	RequestID   string            `env:"-" name:"request-id" help:"UUID of the request. Repeating it within 24 hours creates no second key."`
}

// Run prints the secret to standard output and everything else to standard error, so that a script can capture it.
func (c *keysCreate) Run(ctx context.Context, to console) error {
	key := &authv1.Key{
		Name: c.Name, Scopes: c.Scopes, AllAgents: c.AllAgents, AgentIds: c.AgentIDs,
		Description: c.Description, ExternalId: c.ExternalID, Metadata: c.Metadata,
	}
	if c.ExpiresIn != 0 {
		key.ExpireTime = timestamppb.New(time.Now().Add(c.ExpiresIn))
	}
	request := &authv1.CreateKeyRequest{WorkspaceId: c.Workspace, Key: key, RequestId: c.RequestID}
	return callKeys(ctx, to, c.keyFlags, authv1.KeyServiceClient.CreateKey, request, printSecret)
}

type keysList struct {
	keyFlags   `embed:""`
	Query      string `env:"-" help:"Only keys whose name contains this text, or with a secret that ends with these 4 characters."`
	ExternalID string `env:"-" name:"external-id" help:"Only keys of this owner."`
	State      string `env:"-" enum:",enabled,disabled,expired" default:"" help:"Only keys in this state: enabled, disabled or expired."`
}

func (c *keysList) Run(ctx context.Context, to console) error {
	return c.connect(func(conn *grpc.ClientConn) error {
		keys, all := authv1.NewKeyServiceClient(conn), &authv1.ListKeysResponse{}
		request := &authv1.ListKeysRequest{WorkspaceId: c.Workspace, PageSize: 1000, Query: c.Query, ExternalId: c.ExternalID, State: c.State}
		for more := true; more; more = request.PageToken != "" {
			page, err := keys.ListKeys(ctx, request)
			if err != nil {
				return err
			}
			all.Keys = append(all.Keys, page.GetKeys()...)
			request.PageToken = page.GetNextPageToken()
		}
		return c.print(to, all, func() error { return printKeys(to, all.GetKeys()...) })
	})
}

type keysGet struct {
	oneKey `embed:""`
}

func (c *keysGet) Run(ctx context.Context, to console) error {
	request := &authv1.GetKeyRequest{WorkspaceId: c.Workspace, KeyId: c.ID}
	return callKeys(ctx, to, c.keyFlags, authv1.KeyServiceClient.GetKey, request, printKey)
}

type keysUpdate struct {
	oneKey      `embed:""`
	Name        string            `env:"-" help:"New display name."`
	Scopes      []string          `env:"-" sep:"none" name:"scope" help:"Agent type that the key may call; replaces the current ones. Can be repeated."`
	AllAgents   bool              `env:"-" xor:"access" help:"Allow calls of every agent of the workspace."`
	AgentIDs    []string          `env:"-" sep:"none" name:"agent" xor:"access" help:"ID of an agent that the key may call; replaces the current ones. Can be repeated."`
	ExpiresIn   time.Duration     `env:"-" xor:"expiry" help:"New lifetime of the key from now on."`
	NeverExpire bool              `env:"-" xor:"expiry" help:"Remove the expiry of the key."`
	Description *string           `env:"-" help:"New free-form note."`
	ExternalID  *string           `env:"-" name:"external-id" help:"New owner of the key."`
	Metadata    map[string]string `env:"-" mapsep:"none" help:"NAME=VALUE to return with every allowed check; replaces the current ones. Can be repeated."`
}

// Run changes the fields whose flags were given.
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
		return errors.New("nothing to change: give at least one of --name, --description, --external-id, --metadata, --scope, --all-agents, --agent, --expires-in and --never-expire")
	}
	return c.update(ctx, to, key, mask.GetPaths()...)
}

func (c *oneKey) update(ctx context.Context, to console, key *authv1.Key, fields ...string) error {
	request := &authv1.UpdateKeyRequest{WorkspaceId: c.Workspace, KeyId: c.ID, Key: key, UpdateMask: &fieldmaskpb.FieldMask{Paths: fields}}
	return callKeys(ctx, to, c.keyFlags, authv1.KeyServiceClient.UpdateKey, request, printKey)
}

type keysDisable struct {
	oneKey `embed:""`
}

func (c *keysDisable) Run(ctx context.Context, to console) error {
	return c.update(ctx, to, &authv1.Key{Disabled: true}, "disabled")
}

type keysEnable struct {
	oneKey `embed:""`
}

func (c *keysEnable) Run(ctx context.Context, to console) error {
	return c.update(ctx, to, &authv1.Key{}, "disabled")
}

type keysAddAgents struct {
	oneKey `embed:""`
	Agents []string `arg:"" help:"IDs of the agents."`
}

func (c *keysAddAgents) Run(ctx context.Context, to console) error {
	request := &authv1.AddKeyAgentsRequest{WorkspaceId: c.Workspace, KeyId: c.ID, AgentIds: c.Agents}
	return callKeys(ctx, to, c.keyFlags, authv1.KeyServiceClient.AddKeyAgents, request, printKey)
}

type keysRemoveAgents struct {
	oneKey `embed:""`
	Agents []string `arg:"" help:"IDs of the agents."`
}

func (c *keysRemoveAgents) Run(ctx context.Context, to console) error {
	request := &authv1.RemoveKeyAgentsRequest{WorkspaceId: c.Workspace, KeyId: c.ID, AgentIds: c.Agents}
	return callKeys(ctx, to, c.keyFlags, authv1.KeyServiceClient.RemoveKeyAgents, request, printKey)
}

type keysRotate struct {
	oneKey    `embed:""`
	Grace     time.Duration `env:"-" default:"24h" help:"How long the current secrets stay valid; 0 = they end at once."`
	RequestID string        `env:"-" name:"request-id" help:"UUID of the request. Repeating it within 24 hours creates no second secret."`
}

// Run prints the new secret as keysCreate does.
func (c *keysRotate) Run(ctx context.Context, to console) error {
	request := &authv1.RotateKeyRequest{WorkspaceId: c.Workspace, KeyId: c.ID, GracePeriod: durationpb.New(c.Grace), RequestId: c.RequestID}
	return callKeys(ctx, to, c.keyFlags, authv1.KeyServiceClient.RotateKey, request, printSecret)
}

type keysDelete struct {
	oneKey `embed:""`
}

func (c *keysDelete) Run(ctx context.Context, to console) error {
	request := &authv1.DeleteKeyRequest{WorkspaceId: c.Workspace, KeyId: c.ID}
	return callKeys(ctx, to, c.keyFlags, authv1.KeyServiceClient.DeleteKey, request, func(to console, _ *authv1.DeleteKeyResponse) error {
		_, err := fmt.Fprintf(to.err, "Deleted key %s. Its request logs remain.\n", c.ID)
		return err
	})
}

// secretResponse is a response with a new secret.
type secretResponse interface {
	GetKey() *authv1.Key
	GetSecret() string
}

func printSecret[R secretResponse](to console, r R) error {
	key := r.GetKey()
	fmt.Fprintf(to.err, "Key %q (%s) of workspace %s. This is the only time its secret is shown:\n", key.GetName(), key.GetId(), key.GetWorkspaceId())
	_, err := fmt.Fprintln(to.out, r.GetSecret())
	return err
}

func printKey[R interface{ GetKey() *authv1.Key }](to console, r R) error {
	return printKeys(to, r.GetKey())
}

func printKeys(to console, keys ...*authv1.Key) error {
	t := newTable(to.out, "ID", "NAME", "EXTERNAL ID", "LAST4", "SCOPES", "AGENTS", "STATE", "EXPIRES", "CREATED")
	for _, k := range keys {
		t.row(k.GetId(), k.GetName(), cmp.Or(k.GetExternalId(), "-"), k.GetLast4(), strings.Join(k.GetScopes(), ","), agents(k), state(k),
			formatTime(k.GetExpireTime()), formatTime(k.GetCreateTime()))
	}
	return t.Flush()
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
