package gateway

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// Console is what the console's page reads from consoleConfigPath. Without an issuer and a client id it offers no sign-in with
// OpenID Connect.
type Console struct {
	// Issuer is the URL of an OpenID Connect issuer, and ClientID the console's id there.
	Issuer   string `json:"issuer"`
	ClientID string `json:"clientId"`
	// Scope is what the console asks the issuer for.
	Scope string `json:"scope"`
	// Version is that of this program.
	Version string `json:"version"`
}

const (
	consoleConfigPath   = "/console/config.json"
	consoleCallbackPath = "/console/callback" // where the issuer redirects to
	consoleAssetsPath   = "/console/assets/"  // their names contain a hash of their content
)

// consolePage matches the paths of the page's views in one workspace.
var consolePage = regexp.MustCompile(`^/workspaces/[^/]+/(request-logs|api-keys)$`)

// assetTypes are the types of assets by their extensions. Those of package mime depend on the machine.
var assetTypes = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}

// consoleDocuments are the documents of the console.
type consoleDocuments struct {
	index, config *document
	assets        map[string]*document // by path
}

// withConsole serves the console from its built files, and next every other path.
func withConsole(next http.Handler, files fs.FS, config Console) (http.Handler, error) {
	documents, err := readConsole(files, config)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found, route := documents.find(r.URL.Path)
		if found == nil {
			next.ServeHTTP(w, r)
			return
		}
		found.serve(w, r, route)
	}), nil
}

// readConsole makes the documents of the console.
func readConsole(files fs.FS, config Console) (*consoleDocuments, error) {
	header, err := consoleHeader(config.Issuer)
	if err != nil {
		return nil, err
	}
	index, err := fs.ReadFile(files, "index.html")
	if err != nil {
		return nil, fmt.Errorf("read the console: %w", err)
	}
	text, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("encode the console's configuration: %w", err)
	}
	documents := &consoleDocuments{
		index:  newDocument(index, "text/html; charset=utf-8", revalidated, header),
		config: newDocument(text, "application/json", revalidated, header),
		assets: map[string]*document{},
	}
	assets, err := fs.Glob(files, "assets/*")
	if err != nil {
		return nil, fmt.Errorf("list the console's assets: %w", err)
	}
	for _, name := range assets {
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read the console: %w", err)
		}
		kind := assetTypes[path.Ext(name)]
		if kind == "" {
			return nil, fmt.Errorf("the console has a file of an unknown type: %s", name)
		}
		documents.assets[consoleAssetsPath+path.Base(name)] = newDocument(body, kind, immutable, header)
	}
	return documents, nil
}

// consoleHeader returns the headers of the console: its page loads and calls nothing but this gateway and the issuer.
func consoleHeader(issuer string) (map[string]string, error) {
	connect := "'self'"
	if issuer != "" {
		u, err := url.Parse(issuer)
		if err != nil {
			return nil, fmt.Errorf("the console's issuer: %w", err)
		}
		connect += " " + u.Scheme + "://" + u.Host
	}
	return map[string]string{
		"Content-Security-Policy": strings.Join([]string{
			"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "font-src 'self'",
			"connect-src " + connect, "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
		}, "; "),
		"Cross-Origin-Opener-Policy": "same-origin",
	}, nil
}

// find returns the document of a path, and its route for the metrics; nil if the path is not of the console.
func (c *consoleDocuments) find(path string) (found *document, route string) {
	switch {
	case path == "/", path == consoleCallbackPath:
		return c.index, path
	case path == consoleConfigPath:
		return c.config, path
	case strings.HasPrefix(path, consoleAssetsPath):
		return c.assets[path], consoleAssetsPath + "{name}"
	}
	if view := consolePage.FindStringSubmatch(path); view != nil {
		return c.index, "/workspaces/{workspace_id}/" + view[1]
	}
	return nil, ""
}
