package e2e

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// proxiedCall is a call as a proxy receives it.
type proxiedCall struct {
	method, uri string
	header      [][2]string
}

// proxyMessage is how a proxy asks about a call: with a text over HTTP/1.
type proxyMessage func(gateway, query, token string, call proxiedCall) string

// proxyMessages are those of the proxies by name. nginx and Caddy pass on the headers of the call.
var proxyMessages = map[string]proxyMessage{"nginx": nginxMessage, "Caddy": caddyMessage, "Traefik": traefikMessage}

// callerHost is the host that callers know the proxy by.
const callerHost = "api.example.com"

// nginxMessage is the subrequest of nginx 1.22 for auth_request: HTTP/1.0, the headers that proxy_set_header sets, and those of
// the call, except the ones that it replaces, those of the connection, and names with underscores.
func nginxMessage(gateway, query, token string, call proxiedCall) string {
	set := [][2]string{
		{"Authorization", "Bearer " + token}, {"X-Original-Method", call.method}, {"X-Original-URI", call.uri}, {"Host", gateway},
		{"Connection", "close"},
	}
	removed := []string{
		"X-Forwarded-Method", "X-Forwarded-Uri", "Content-Length", "Keep-Alive", "Transfer-Encoding", "Expect", "Upgrade", "TE",
	}
	return message("HTTP/1.0", query, set, slices.DeleteFunc(call.without(set, removed), func(h [2]string) bool {
		return strings.Contains(h[0], "_")
	}))
}

// caddyMessage is the request of Caddy 2.6 for forward_auth: the host of the call, the headers of the call without those of the
// connection and those that header_up replaces or removes.
func caddyMessage(_, query, token string, call proxiedCall) string {
	set := [][2]string{
		{"Host", callerHost}, {"Accept-Encoding", "gzip"}, {"Authorization", "Bearer " + token}, {"X-Forwarded-For", "127.0.0.1"},
		{"X-Forwarded-Host", callerHost}, {"X-Forwarded-Method", call.method}, {"X-Forwarded-Proto", "http"},
		{"X-Forwarded-Uri", call.uri},
	}
	removed := append(call.connection(), "X-Original-Method", "X-Original-URI", "Content-Length")
	return message("HTTP/1.1", query, set, call.without(set, removed))
}

// traefikMessage is the request of Traefik 3.7 for ForwardAuth with authRequestHeaders: api-key, and the token as the password in
// the address.
func traefikMessage(gateway, query, token string, call proxiedCall) string {
	other := func(h [2]string) bool { return !strings.EqualFold(h[0], "api-key") }
	return message("HTTP/1.1", query, traefikHeader(gateway, token, call), slices.DeleteFunc(slices.Clone(call.header), other))
}

// allTraefikMessage is traefikMessage without authRequestHeaders: it has the headers of the call, except those of the connection.
// An Authorization header of the call replaces the credentials of the address.
func allTraefikMessage(gateway, query, token string, call proxiedCall) string {
	set := slices.DeleteFunc(traefikHeader(gateway, token, call), func(h [2]string) bool {
		return h[0] == "Authorization" && call.has(h[0])
	})
	return message("HTTP/1.1", query, set, call.without(set, append(call.connection(), "Content-Length")))
}

// traefikHeader are the headers that Traefik sets.
func traefikHeader(gateway, token string, call proxiedCall) [][2]string {
	return [][2]string{
		{"Host", gateway}, {"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("keytrail:"+token))},
		{"X-Forwarded-For", "127.0.0.1"}, {"X-Forwarded-Host", callerHost}, {"X-Forwarded-Method", call.method},
		{"X-Forwarded-Port", "80"}, {"X-Forwarded-Proto", "http"}, {"X-Forwarded-Uri", call.uri}, {"Accept-Encoding", "gzip"},
	}
}

// connection returns the names of the headers that are about the connection of a call (RFC 9110, section 7.6.1).
func (c proxiedCall) connection() []string {
	names := []string{"Connection", "Keep-Alive", "Te", "Trailers", "Transfer-Encoding", "Upgrade"}
	for _, h := range c.header {
		if strings.EqualFold(h[0], "Connection") {
			names = append(names, strings.Split(strings.ReplaceAll(h[1], " ", ""), ",")...)
		}
	}
	return names
}

// without returns the headers of the call, except the ones that were set and the removed ones.
func (c proxiedCall) without(set [][2]string, removed []string) [][2]string {
	return slices.DeleteFunc(slices.Clone(c.header), func(h [2]string) bool {
		same := func(name string) bool { return strings.EqualFold(name, h[0]) }
		return slices.ContainsFunc(removed, same) || slices.ContainsFunc(set, func(s [2]string) bool { return same(s[0]) })
	})
}

func (c proxiedCall) has(name string) bool {
	return slices.ContainsFunc(c.header, func(h [2]string) bool { return strings.EqualFold(h[0], name) })
}

// message formats a request for the forward-auth endpoint.
func message(protocol, query string, headers ...[][2]string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "GET /v1/forward-auth%s %s\r\n", query, protocol)
	for _, h := range slices.Concat(headers...) {
		fmt.Fprintf(&text, "%s: %s\r\n", h[0], h[1])
	}
	return text.String() + "\r\n"
}

// exchange sends a request as text and returns the response with its body.
func exchange(t *testing.T, addr, request string) (*http.Response, string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	must(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, request)
	must(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	return response, string(body)
}
