package gateway

import (
	"encoding/json"
	"errors"
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
}

const (
	consoleConfigPath   = "/console/config.json"
	consoleCallbackPath = "/console/callback" // where the issuer redirects to
	consoleFilesPath    = "/console/"
	consoleAssets       = "assets/" // their names contain a hash of their content
)

// consolePage matches the paths of the page's views in one workspace.
var consolePage = regexp.MustCompile(`^/workspaces/[^/]+/(request-logs|api-keys)$`)

// consoleTypes are the types of built files by their extensions. Those of package mime depend on the machine.
var consoleTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".txt": "text/plain; charset=utf-8",
}

// consoleDocuments are the documents of the console.
type consoleDocuments struct {
	index *document
	// files are the other ones by path, with their route.
	files map[string]routed
}

type routed struct {
	*document
	route string
}

// withConsole serves the console from its built files, and next every other path.
func withConsole(next http.Handler, files fs.FS, config Console) (http.Handler, error) {
	documents, err := readConsole(files, config)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found := documents.find(r.URL.Path)
		if found.document == nil {
			next.ServeHTTP(w, r)
			return
		}
		found.serve(w, r, found.route)
	}), nil
}

// readConsole makes the documents of the console.
func readConsole(files fs.FS, config Console) (*consoleDocuments, error) {
	header, err := consoleHeader(config.Issuer)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("encode the console's configuration: %w", err)
	}
	documents := &consoleDocuments{files: map[string]routed{
		consoleConfigPath: {newDocument(text, "application/json", revalidated, header), consoleConfigPath},
	}}
	if err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return documents.add(files, name, header)
	}); err != nil {
		return nil, fmt.Errorf("read the console: %w", err)
	}
	if documents.index == nil {
		return nil, errors.New("the console has no index.html")
	}
	return documents, nil
}

// add adds a built file.
func (c *consoleDocuments) add(files fs.FS, name string, header map[string]string) error {
	body, err := fs.ReadFile(files, name)
	if err != nil {
		return err
	}
	kind := consoleTypes[path.Ext(name)]
	switch {
	case kind == "":
		return fmt.Errorf("%s: unknown type", name)
	case name == "index.html":
		c.index = newDocument(body, kind, revalidated, header)
	case strings.HasPrefix(name, consoleAssets):
		// Browsers apply the policy of the page to its scripts and styles. Sent with each of them it adds 3 kB to the first load.
		route := consoleFilesPath + consoleAssets + "{name}"
		c.files[consoleFilesPath+name] = routed{newDocument(body, kind, immutable, nil), route}
	default:
		c.files[consoleFilesPath+name] = routed{newDocument(body, kind, revalidated, header), consoleFilesPath + name}
	}
	return nil
}

// find returns the document of a path; nil if the path is not of the console.
func (c *consoleDocuments) find(path string) routed {
	if path == "/" || path == consoleCallbackPath {
		return routed{c.index, path}
	}
	if view := consolePage.FindStringSubmatch(path); view != nil {
		return routed{c.index, "/workspaces/{workspace_id}/" + view[1]}
	}
	return c.files[path]
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
