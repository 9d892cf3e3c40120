package envoy

import (
	"context"
	"errors"
	"strings"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/agentpath"
	"github.com/keytrail/keytrail/internal/authresult"
	"github.com/keytrail/keytrail/internal/fault"
)

// The entries of context_extensions, which the configuration of a route writes and a client cannot change (CheckSettings in
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/filters/http/ext_authz/v3/ext_authz.proto).
const (
	workspaceExtension = "workspace_id"
	typeExtension      = "agent_type"
	agentExtension     = "agent_id"

	extensionsField = "attributes.context_extensions."
)

// authorization is the service that Envoy's HTTP filter ext_authz calls before it forwards a request.
type authorization struct {
	authv3.UnimplementedAuthorizationServer
	checks authv1.CheckServiceServer
	paths  agentpath.Templates
}

// Check implements envoy.service.auth.v3.Authorization. A denial is a response. An error means that the check is impossible, and
// that Envoy's configuration decides (failure_mode_allow, status_on_error); a client must not be able to cause one.
func (s *authorization) Check(ctx context.Context, req *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	identity, known := access.FromContext(ctx)
	if !known {
		return nil, errors.New("a check without an identity")
	}
	call, err := s.callOf(identity, req.GetAttributes())
	if errors.Is(err, errUnknownPath) {
		return denied(authresult.UnknownPath, ""), nil
	}
	if err != nil {
		return nil, err
	}
	http := req.GetAttributes().GetRequest().GetHttp()
	check, err := s.checks.Check(ctx, &authv1.CheckRequest{
		ApiKey: apiKey(http), WorkspaceId: call.WorkspaceID, AgentType: call.AgentType, AgentId: call.AgentID,
		Method: http.GetMethod(), Endpoint: http.GetPath(),
	})
	if call.typeFromPath && unknownType(err) {
		return denied(authresult.UnknownPath, ""), nil
	}
	if err != nil {
		return nil, err
	}
	if !check.GetAllowed() {
		return denied(authresult.Denied(check), check.GetReportToken()), nil
	}
	return allowed(check, http), nil
}

// unknownType reports whether a check failed because the catalog has no such agent type.
func unknownType(err error) bool {
	f, ok := errors.AsType[*fault.Error](err)
	return ok && f.Field == "agent_type"
}

// errUnknownPath refuses a call whose path names no agent. It never leaves this package.
var errUnknownPath = errors.New("the path names no agent")

// call is the called agent.
type call struct {
	agentpath.Call
	typeFromPath bool
}

// callOf returns the agent that Envoy asks about. What the context extensions leave out comes from the path, which then must match
// a template: a path that servers read in different ways must not make a call one on no agent, or in no workspace. An empty
// extension is a value.
func (s *authorization) callOf(identity *access.Identity, attributes *authv3.AttributeContext) (call, error) {
	extensions := attributes.GetContextExtensions()
	workspace, hasWorkspace := extensions[workspaceExtension]
	agentType, hasType := extensions[typeExtension]
	agentID, hasAgent := extensions[agentExtension]
	c := call{typeFromPath: !hasType}
	if !hasWorkspace || !hasType || !hasAgent {
		matched := false
		// The path has the query; the field query is always empty (AttributeContext.HttpRequest in
		// https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/auth/v3/attribute_context.proto).
		if c.Call, matched = s.paths.Match(attributes.GetRequest().GetHttp().GetPath()); !matched {
			return c, errUnknownPath
		}
	}
	if hasType {
		c.AgentType = agentType
	}
	if hasAgent {
		c.AgentID = agentID
	}
	if !hasWorkspace && c.WorkspaceID != "" { // the client's, so it cannot cause an error
		if !access.ValidWorkspace(c.WorkspaceID) || !identity.Holds(c.WorkspaceID) {
			return c, errUnknownPath
		}
		return c, nil
	}
	if c.WorkspaceID != "" && workspace != "" && c.WorkspaceID != workspace { // the route serves another one
		return c, errUnknownPath
	}
	c.WorkspaceID = workspace
	if workspace != "" && !access.ValidWorkspace(workspace) {
		return c, fault.InvalidField(extensionsField+workspaceExtension, "must be the id of a workspace")
	}
	return c, identity.Require(extensionsField+workspaceExtension, workspace)
}

// apiKey returns the secret that the client sent. Envoy joins the values of a header that was sent twice with a comma. With
// encode_raw_headers it fills header_map instead, and does not join them. All names are in lower case (AttributeContext.HttpRequest
// in https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/auth/v3/attribute_context.proto).
func apiKey(http *authv3.AttributeContext_HttpRequest) string {
	if value, ok := http.GetHeaders()[authresult.APIKeyHeader]; ok {
		return value
	}
	var values []string
	for _, header := range http.GetHeaderMap().GetHeaders() {
		if header.GetKey() == authresult.APIKeyHeader {
			values = append(values, string(header.GetRawValue()))
		}
	}
	return strings.Join(values, ",")
}
