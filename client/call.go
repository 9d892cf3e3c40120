package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Agent is the called agent. With more than 4 KiB the call is refused as one of an unknown path.
type Agent struct {
	// WorkspaceID owns the agent; empty for that of WithWorkspace.
	WorkspaceID string
	// Type is a type of the catalog. Without it the call is refused as one of an unknown path.
	Type string
	// ID is empty for a call on no agent in particular, which only a key with access to all agents may do.
	ID string
}

// agentOf reads the called agent from the path of a call. It is empty if the path names none that is served here.
func (c *Client) agentOf(path string) Agent {
	found, _ := c.paths.Match(path)
	if found.WorkspaceID != "" && c.workspaceID != "" && found.WorkspaceID != c.workspaceID {
		return Agent{}
	}
	return Agent{WorkspaceID: found.WorkspaceID, Type: found.AgentType, ID: found.AgentID}
}

// agentOfRequest returns the called agent of a request. It reads the URL, because that is what the router behind reads:
// middleware in front may have changed it.
func (c *Client) agentOfRequest(r *http.Request) Agent {
	if c.httpAgent != nil {
		return c.httpAgent(r)
	}
	return c.agentOf(pathOf(r.URL))
}

// pathOf returns the path of a URL as it was sent. Some routers read RawPath and others Path: it returns no path if they differ,
// because the agent that is checked must be the one that is called.
func pathOf(u *url.URL) string {
	if u.RawPath == "" {
		return u.EscapedPath()
	}
	if decoded, err := url.PathUnescape(u.RawPath); err != nil || decoded != u.Path {
		return ""
	}
	return u.RawPath
}

// agentOfMethod returns the called agent of a gRPC call.
func (c *Client) agentOfMethod(ctx context.Context, fullMethod string, request any) Agent {
	if c.grpcAgent != nil {
		return c.grpcAgent(ctx, fullMethod, request)
	}
	return c.agentOf(fullMethod)
}

// endpointOf returns the path of a request, as its caller sent it.
func endpointOf(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if !strings.HasPrefix(path, "/") { // http://host/path, or a request that was made by the program
		path = r.URL.EscapedPath()
	}
	return path
}

// The auth service uses no more of these texts, and refuses messages above 1 MiB. With shorter ones, too, a few hundred
// connections would slow down all checks until they fail.
const (
	maxMethod   = 32
	maxEndpoint = 4 << 10
	maxSecret   = 4 << 10
	// maxAgent is the most bytes of an Agent. The agent ids of a key have at most 255 characters.
	maxAgent = 4 << 10
)

func (a Agent) size() int { return len(a.WorkspaceID) + len(a.Type) + len(a.ID) }

// text returns at most limit bytes of what a caller sent, as UTF-8: other bytes are percent-encoded.
func text(sent string, limit int) string {
	sent = sent[:min(len(sent), limit)]
	if utf8.ValidString(sent) {
		return sent
	}
	var b strings.Builder
	for i, r := range sent {
		if r == utf8.RuneError && !strings.HasPrefix(sent[i:], string(utf8.RuneError)) {
			fmt.Fprintf(&b, "%%%02X", sent[i])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// bearerHeader is the header in which only a bearer token with the prefix of a secret is an API key.
const bearerHeader = "authorization"

// secretOf returns the API key of a call, from the headers that values returns. Several of one name are one list (RFC 9110,
// section 5.3), which is no secret of any key.
func (c *Client) secretOf(values func(name string) []string) string {
	for _, name := range c.headers {
		value := strings.Join(values(name), ", ")
		if name == bearerHeader {
			value = bearerSecret(value)
		}
		if value != "" {
			return value
		}
	}
	return ""
}

func bearerSecret(value string) string {
	const scheme = "bearer "
	if len(value) < len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return ""
	}
	secret := strings.TrimLeft(value[len(scheme):], " ")
	if !strings.HasPrefix(secret, "sk_") {
		return ""
	}
	return secret
}
