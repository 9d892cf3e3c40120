package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/keytrail/keytrail/internal/agentpath"
	"github.com/keytrail/keytrail/internal/authresult"
)

// Option configures a Client.
type Option func(*config)

type config struct {
	transport   credentials.TransportCredentials // nil = by the address
	insecure    bool
	perRPC      credentials.PerRPCCredentials // nil = none
	tokenErr    error
	dialOptions []grpc.DialOption

	templates   []string
	httpAgent   func(*http.Request) Agent // nil = by the templates
	grpcAgent   func(ctx context.Context, fullMethod string, request any) Agent
	workspaceID string
	headers     []string

	checkTimeout time.Duration
	failOpen     bool
	log          *slog.Logger
}

// defaultCheckTimeout is long enough to ask another replica when one restarts or does not respond.
const defaultCheckTimeout = 2 * time.Second

func defaults() config {
	return config{
		templates: []string{agentpath.DefaultTemplate}, headers: []string{authresult.APIKeyHeader, bearerHeader},
		checkTimeout: defaultCheckTimeout, log: slog.Default(),
	}
}

// workspacePattern is that of the contract.
var workspacePattern = regexp.MustCompile("^[a-z0-9][a-z0-9_-]{0,62}$")

func (c *config) validate() error {
	switch {
	case c.tokenErr != nil:
		return c.tokenErr
	case c.workspaceID != "" && !workspacePattern.MatchString(c.workspaceID):
		return fmt.Errorf("WithWorkspace: %q is not a workspace id: want %v", c.workspaceID, workspacePattern)
	case c.checkTimeout <= 0:
		return fmt.Errorf("WithCheckTimeout: %v is not above 0", c.checkTimeout)
	case len(c.headers) == 0:
		return errors.New("WithAPIKeyHeaders: no header is named")
	}
	return nil
}

// WithTransportCredentials sets how the connection is secured: credentials.NewClientTLSFromFile for a certificate authority of
// your own, credentials.NewTLS for mutual TLS.
func WithTransportCredentials(transport credentials.TransportCredentials) Option {
	return func(c *config) { c.transport = transport }
}

// WithInsecure calls an auth service on another machine in plaintext. Anyone on the network path can then read the token and API
// keys.
func WithInsecure() Option { return func(c *config) { c.insecure = true } }

// WithToken sends a bearer token of the role checker with every call. It must hold for all workspaces, unless WithWorkspace or
// the path name one.
func WithToken(token string) Option {
	return func(c *config) {
		c.perRPC, c.tokenErr = newToken(token), nil
		if token == "" {
			c.tokenErr = errors.New("WithToken: the token is empty")
		}
	}
}

// WithTokenFile is WithToken for a token in a file, which may be replaced at any time: it is read again after a second. Space
// around the token is removed.
func WithTokenFile(path string) Option {
	return func(c *config) {
		file := &tokenFile{path: path}
		_, err := file.read(time.Now())
		c.perRPC, c.tokenErr = file, err
	}
}

// WithDialOptions adds options of the gRPC connection, for example a stats handler that traces calls, or in place of WithToken
// grpc.WithPerRPCCredentials with oauth.TokenSource. They override those of this package: also the transport credentials, and so
// the protection of the token.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(c *config) { c.dialOptions = append(c.dialOptions, options...) }
}

// WithAgentPaths sets the templates that read the called agent from the path of a call: of a request's URL, or of a gRPC method
// (/package.Service/Method). The first one that matches counts.
//
// A template is a path whose segments are literal or have one placeholder each: {workspace_id}, {agent_type} or {agent_id}. It
// matches the path and every path below it. So /v1/{agent_type}s/{agent_id}/… matches /v1/voice_agents/a1/calls, as the agent a1
// of the type voice_agent. A template without {agent_type} begins with the type: agent=/v1/bots/{agent_id}, or
// agent=/acme.bots.v1.Bots for all methods of a gRPC service. Without {agent_id} a call is on no agent in particular, which only
// a key with access to all agents may do.
//
// A path that servers or routers read in different ways (with //, .. or an encoded slash) matches no template.
func WithAgentPaths(templates ...string) Option {
	return func(c *config) { c.templates = templates }
}

// WithHTTPAgent sets the function that returns the called agent of a request, in place of the templates. It is called
// concurrently.
func WithHTTPAgent(agent func(*http.Request) Agent) Option {
	return func(c *config) { c.httpAgent = agent }
}

// WithGRPCAgent sets the function that returns the called agent of a gRPC call, in place of the templates. The request is nil
// for a stream, whose messages have not arrived then. It is called concurrently.
func WithGRPCAgent(agent func(ctx context.Context, fullMethod string, request any) Agent) Option {
	return func(c *config) { c.grpcAgent = agent }
}

// WithWorkspace sets the workspace that owns the called agents. A key of another workspace is then denied, and calls without a
// valid key are recorded in this workspace. Agents of other workspaces are not served: a path with another {workspace_id} is
// refused as an unknown one. A workspace that the function of WithHTTPAgent or WithGRPCAgent returns counts instead of this one.
func WithWorkspace(id string) Option {
	return func(c *config) { c.workspaceID = id }
}

// WithAPIKeyHeaders sets the headers, and metadata keys of gRPC, that may have the API key. The first one that is not empty
// counts. The default is api-key, then authorization, in which only a bearer token that begins with sk_ is an API key.
func WithAPIKeyHeaders(names ...string) Option {
	return func(c *config) {
		c.headers = nil
		for _, name := range names {
			c.headers = append(c.headers, strings.ToLower(name))
		}
	}
}

// WithCheckTimeout sets how long the check of a call may take with all its retries; by default 2 s. After a third of it, a
// replica that does not respond is given up and another one asked.
func WithCheckTimeout(timeout time.Duration) Option {
	return func(c *config) { c.checkTimeout = timeout }
}

// WithFailOpen serves calls unchecked, without an identity and without a row, while the auth service cannot be reached, does not
// respond in time, or is UNAVAILABLE because it cannot record calls (--trail-full=refuse). Any other failure of a check, for
// example for a wrong token, refuses the call all the same.
//
// Callers can then get past the check by overloading the auth service or the backend.
func WithFailOpen() Option { return func(c *config) { c.failOpen = true } }

// WithLogger sets where problems are logged: calls that cannot be checked or reported, at most once a minute each. The default is
// slog.Default.
func WithLogger(log *slog.Logger) Option {
	return func(c *config) { c.log = log }
}
