package app

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"google.golang.org/grpc/credentials"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/gateway"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/agentpath"
	"github.com/keytrail/keytrail/trail"
)

const (
	// DefaultDataDir is the data folder of keytrail serve.
	DefaultDataDir = "./keytrail-data"
	// SigningKeyFile is the name of the file in the data folder with the key that signs tokens.
	SigningKeyFile = "signing-key.pem"
	// DefaultMaxStaleness is how long a replica that cannot reach its store counts as ready.
	DefaultMaxStaleness = 30 * time.Second
)

// databaseFlag configures the database of a service.
type databaseFlag struct {
	DatabaseURL string `required:"" help:"URL of the Postgres database, e.g. postgres://keytrail:password@db:5432/keytrail. Both services can share one database, because each has its own schema."`
}

// tokenFlags configure whose tokens a service accepts.
type tokenFlags struct {
	TokenKeys   []string `help:"PEM files with the keys that sign accepted tokens, public or private. Give several to rotate keys. ROLE=FILE accepts the keys of a file only for tokens of this role, and of viewer if it is admin."`
	OIDCIssuers []string `name:"oidc-issuers" help:"OpenID Connect issuers whose tokens are accepted, e.g. https://login.example.com. Their audience must be keytrail."`

	OIDCRoleClaim       string `name:"oidc-role-claim" default:"role" help:"Claim with the role in the tokens of --oidc-issuers."`
	OIDCWorkspacesClaim string `name:"oidc-workspaces-claim" default:"workspaces" help:"Claim with the list of workspaces in the tokens of --oidc-issuers."`
}

func (f tokenFlags) validate() error {
	for _, issuer := range f.OIDCIssuers {
		if err := access.ValidIssuer(issuer); err != nil {
			return fmt.Errorf("--oidc-issuers: %w", err)
		}
	}
	return nil
}

// validateRequired is validate for services without a key of their own, which would otherwise accept no token at all.
func (f tokenFlags) validateRequired() error {
	if len(f.TokenKeys) == 0 && len(f.OIDCIssuers) == 0 {
		return errors.New("--token-keys, --oidc-issuers: one of them is required to accept tokens; `keytrail token keygen` creates a key")
	}
	return f.validate()
}

// expandHome expands ~/ as the type path of kong does, which does not know ROLE=~/FILE.
func expandHome(files []string) []string {
	expanded := slices.Clone(files)
	for i, file := range files {
		if before, path, found := strings.Cut(file, "~/"); found && (before == "" || strings.HasSuffix(before, "=")) {
			expanded[i] = before + kong.ExpandPath("~/"+path)
		}
	}
	return expanded
}

// addVerifier adds a verifier of tokens that are signed with the keys of the flags, or with own.
func (s *Server) addVerifier(f tokenFlags, now func() time.Time, own ...ed25519.PublicKey) (*access.Verifier, error) {
	keys, err := access.ReadTokenKeys(expandHome(f.TokenKeys)...)
	if err != nil {
		return nil, fmt.Errorf("--token-keys: %w", err)
	}
	keys[""] = append(keys[""], own...)
	claims := access.ClaimNames{Role: f.OIDCRoleClaim, Workspaces: f.OIDCWorkspacesClaim}
	verifier, err := access.NewVerifier(access.Config{Keys: keys, Issuers: f.OIDCIssuers, Claims: claims, Now: now, Log: s.log})
	if err != nil {
		return nil, err
	}
	s.parts = append(s.parts, verifier.Run)
	if len(f.OIDCIssuers) > 0 {
		s.checks["oidc_issuers"] = func(context.Context) error { return verifier.CheckStarted() }
	}
	return verifier, nil
}

// callerFlags configure the token with which the auth service calls the log service.
type callerFlags struct {
	LogsTokenFile string `type:"path" xor:"caller" help:"File with the token to send to the log service: role ingester, all workspaces. Reloaded when needed."`
	SigningKey    string `type:"path" xor:"caller" help:"PEM file with a private key that signs such tokens instead. Its public key must be in --token-keys of the log service."`
}

func (f callerFlags) validate() error {
	if f.LogsTokenFile == "" && f.SigningKey == "" {
		return errors.New("--logs-token-file, --signing-key: one of them is required to call the log service")
	}
	return nil
}

func (f callerFlags) credentials(now func() time.Time, log *slog.Logger) (credentials.PerRPCCredentials, error) {
	if f.LogsTokenFile != "" {
		return access.TokenFile(f.LogsTokenFile), nil
	}
	signer, err := access.ReadSigner(f.SigningKey)
	if err != nil {
		return nil, fmt.Errorf("--signing-key: %w", err)
	}
	warnReadableKey(log, f.SigningKey)
	return access.NewTokenSource(signer, now), nil
}

// quotaFlags limit what a workspace can have.
type quotaFlags struct {
	MaxKeysPerWorkspace     int   `default:"${max_keys}" help:"Maximum number of keys of a workspace, disabled and expired ones included. Every key is in the memory of every auth service. Must be the same for all replicas."`
	MaxKeyBytesPerWorkspace int64 `default:"${max_key_bytes}" help:"Maximum size of the keys of a workspace together: their names, descriptions, external ids, metadata, scopes and allowlists in bytes, and 32 for each of these texts. Must be the same for all replicas."`
}

func (f quotaFlags) validate() error {
	if f.MaxKeysPerWorkspace < 1 {
		return fmt.Errorf("--max-keys-per-workspace: must be at least 1, got %d", f.MaxKeysPerWorkspace)
	}
	if f.MaxKeyBytesPerWorkspace < 1 {
		return fmt.Errorf("--max-key-bytes-per-workspace: must be at least 1, got %d", f.MaxKeyBytesPerWorkspace)
	}
	return nil
}

func (f quotaFlags) quota() authsvc.Quota {
	return authsvc.Quota{Keys: f.MaxKeysPerWorkspace, Bytes: f.MaxKeyBytesPerWorkspace}
}

// trailFlags configure the trail.
type trailFlags struct {
	TrailFsync            time.Duration `default:"100ms" help:"How long a row may wait to be synced to disk. A crash of the machine (not of the process) can lose that much. 0 = sync before every response."`
	TrailStallTimeout     time.Duration `default:"250ms" help:"How long a call waits for a disk that does not respond. After that, calls do not wait until it responds, and --trail-full decides."`
	TrailMaxBytes         int64         `default:"1073741824" help:"Maximum size of the trail on disk, dead letters included; at least 8388608."`
	UnprovedRowsPerSecond int           `name:"stranger-rows-per-second" default:"${unproved_rows}" help:"Maximum number of request logs per second for calls that prove no key, of each workspace that has a key, and of all others together, with a burst of ten times that. Further calls share one row per second and error code."`
	TrailFull             string        `default:"allow" enum:"allow,refuse" help:"What to do with calls that cannot be recorded because the trail is full, or its disk fails or stalls: allow = check and count them; refuse = respond with 503."`
}

// The values of trailFlags.TrailFull.
const (
	trailFullAllow  = "allow"
	trailFullRefuse = "refuse"
)

// maxUnprovedRows is more than a process can check. It keeps the burst within the range of a counter.
const maxUnprovedRows = 1_000_000

func (f trailFlags) validate() error {
	switch {
	case f.TrailFsync < 0 || f.TrailFsync > time.Minute:
		return fmt.Errorf("--trail-fsync: must be 0 to 1m, got %v", f.TrailFsync)
	case f.TrailStallTimeout < 10*time.Millisecond || f.TrailStallTimeout > time.Minute:
		return fmt.Errorf("--trail-stall-timeout: must be 10ms to 1m, got %v", f.TrailStallTimeout)
	case f.TrailMaxBytes < trail.MinBytes:
		return fmt.Errorf("--trail-max-bytes: must be at least %d, got %d", trail.MinBytes, f.TrailMaxBytes)
	case f.UnprovedRowsPerSecond < 1 || f.UnprovedRowsPerSecond > maxUnprovedRows:
		return fmt.Errorf("--stranger-rows-per-second: must be 1 to %d, got %d", maxUnprovedRows, f.UnprovedRowsPerSecond)
	}
	return nil
}

// pathsFlag configures how proxies' calls name the called agent.
type pathsFlag struct {
	AgentPaths []string `default:"/v1/{agent_type}s/{agent_id}/…" help:"Templates of the paths of calls behind a proxy, tried in order: where the path names {agent_type}, {agent_id} and {workspace_id}. A template without {agent_type} begins with the type, e.g. agent=/v1/bots/{agent_id}. /… at the end stands for any path below."`
}

func (f pathsFlag) validate() error {
	_, err := f.templates()
	return err
}

func (f pathsFlag) templates() (agentpath.Templates, error) {
	templates, err := agentpath.Parse(f.AgentPaths)
	if err != nil {
		return nil, fmt.Errorf("--agent-paths: %w", err)
	}
	return templates, nil
}

func parseAgentTypes(items []string) (authsvc.AgentTypes, error) {
	types, err := authsvc.ParseAgentTypes(items)
	if err != nil {
		return nil, fmt.Errorf("--agent-types: %w", err)
	}
	return types, nil
}

func validateAgentTypes(items []string) error {
	_, err := parseAgentTypes(items)
	return err
}

func validateOrigins(origins []string) error {
	for _, origin := range origins {
		if err := gateway.ValidOrigin(origin); err != nil {
			return fmt.Errorf("--cors-origins: %w", err)
		}
	}
	return nil
}

// ValidateRetention refuses a retention that is too short.
func ValidateRetention(retention time.Duration) error {
	if retention < time.Hour {
		return fmt.Errorf("--retention: must be at least 1h, got %v", retention)
	}
	return nil
}
