package gateway

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/agentpath"
	"github.com/keytrail/keytrail/internal/authresult"
	"github.com/keytrail/keytrail/internal/fault"
)

// errUnknownPath is the error for a path that names no agent.
var errUnknownPath = errors.New("the path names no agent of a known type")

// forwardedCall is the call that a forward-auth request describes.
type forwardedCall struct {
	request *authv1.CheckRequest
	// fromPath has the fields of the request that the caller chose by the path.
	fromPath map[string]bool
}

// causes reports whether an error of a check is about what the caller chose by the path: an unknown type, or a workspace that the
// proxy's token does not hold for.
func (c forwardedCall) causes(info *errdetails.ErrorInfo) bool {
	return c.fromPath[info.GetMetadata()["field"]] ||
		c.fromPath["workspace_id"] && info.GetReason() == fault.WorkspaceForbidden.String()
}

// readCall reads the call from a forward-auth request. Its error is a fault about the proxy's part of the request, or
// errUnknownPath.
func readCall(r *http.Request, paths agentpath.Templates) (forwardedCall, error) {
	if r.Method != http.MethodGet {
		return forwardedCall{}, fault.InvalidField("method", "must be GET, got %.32q", r.Method)
	}
	options, err := readForwardOptions(r.URL.RawQuery)
	if err != nil {
		return forwardedCall{}, err
	}
	method, uri, err := describedCall(r.Header)
	if err != nil {
		return forwardedCall{}, err
	}
	path, _, _ := strings.Cut(uri, "?")
	call := forwardedCall{request: &authv1.CheckRequest{
		ApiKey: apiKey(r.Header), Method: method, Endpoint: path, WorkspaceId: options.workspace,
	}}
	if options.agentFromHeaders {
		err = call.readHeaders(r.Header)
	} else {
		err = call.readPath(paths)
	}
	if err == nil && !(utf8.ValidString(path) && utf8.ValidString(call.request.GetAgentId())) {
		err = errUnknownPath
	}
	return call, err
}

// readPath reads the agent, and the workspace if a template has it, from the path.
func (c *forwardedCall) readPath(paths agentpath.Templates) error {
	called, ok := paths.Match(c.request.GetEndpoint())
	if !ok {
		return errUnknownPath
	}
	c.request.AgentType, c.request.AgentId = called.AgentType, called.AgentID
	c.fromPath = map[string]bool{"agent_type": true}
	switch {
	case called.WorkspaceID == "" || called.WorkspaceID == c.request.GetWorkspaceId():
		return nil
	case c.request.GetWorkspaceId() != "": // the proxy serves another one here
		return errUnknownPath
	}
	c.request.WorkspaceId = called.WorkspaceID
	c.fromPath["workspace_id"] = true
	return nil
}

// readHeaders reads the agent from the headers that a proxy sets. Without an id, the call is on no agent in particular.
func (c *forwardedCall) readHeaders(header http.Header) error {
	const typeHeader, idHeader = "X-Keytrail-Agent-Type", "X-Keytrail-Agent-Id"
	types, ids := header.Values(typeHeader), header.Values(idHeader)
	if len(types) != 1 {
		return fault.InvalidField(typeHeader, "must be sent once with agent_from=headers, got it %d times", len(types))
	}
	if len(ids) > 1 {
		return fault.InvalidField(idHeader, "must be sent once at most, got it %d times", len(ids))
	}
	c.request.AgentType, c.request.AgentId = types[0], header.Get(idHeader)
	return nil
}

// forwardOptions are the query of a forward-auth request.
type forwardOptions struct {
	workspace        string
	agentFromHeaders bool
}

// readForwardOptions reads a query. It must not be empty: if the configuration of Caddy has none, Caddy sends that of the call,
// and callers could choose the options. Such a configuration must fail for every other call, too.
func readForwardOptions(query string) (options forwardOptions, err error) {
	values, err := url.ParseQuery(query)
	if err != nil || len(values) == 0 {
		return options, fault.InvalidField("query", "must have workspace_id, or agent_from=path or =headers")
	}
	for name, texts := range values {
		switch text := texts[0]; {
		case len(texts) > 1:
			return options, fault.InvalidField("query", "has %.32q twice", name)
		case name == "workspace_id" && text != "":
			options.workspace = text
		case name == "agent_from" && (text == "headers" || text == "path"):
			options.agentFromHeaders = text == "headers"
		default:
			return options, fault.InvalidField("query", "%.32q is an unknown parameter, or has a wrong value", name)
		}
	}
	return options, nil
}

// describedCall returns the method and the URI of the call: Caddy and Traefik set X-Forwarded-…, and the configuration of nginx
// X-Original-…. Each of them may pass on headers of the other kind, which the caller has sent. So a request with both is refused.
func describedCall(header http.Header) (method, uri string, err error) {
	forwardedMethods, forwardedURIs := header.Values("X-Forwarded-Method"), header.Values("X-Forwarded-Uri")
	methods := slices.Concat(forwardedMethods, header.Values("X-Original-Method"))
	uris := slices.Concat(forwardedURIs, header.Values("X-Original-Uri"))
	if len(methods) != 1 || len(uris) != 1 || len(forwardedMethods) != len(forwardedURIs) || methods[0] == "" || uris[0] == "" {
		return "", "", fault.InvalidField("headers", "must be either X-Forwarded-Method and X-Forwarded-Uri (Caddy, Traefik), or "+
			"X-Original-Method and X-Original-URI (nginx), each once; remove those that the caller sent")
	}
	return methods[0], uris[0], nil
}

// apiKey returns the caller's secret. Several headers are one list (RFC 9110, section 5.3), which is no secret of any key. Nor is
// a value that is not UTF-8, which a check cannot have.
func apiKey(header http.Header) string {
	return strings.ToValidUTF8(strings.Join(header.Values(authresult.APIKeyHeader), ", "), "\uFFFD")
}
