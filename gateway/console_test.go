package gateway

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
)

// consoleFiles are the built files of a console.
var consoleFiles = fstest.MapFS{
	"index.html":          {Data: []byte(`<script src="/console/assets/app-ABCD.js">` + strings.Repeat(" ", 1000))},
	"licenses.txt":        {Data: []byte("MIT")},
	"assets/app-ABCD.js":  {Data: []byte("export {}" + strings.Repeat(" ", 1000))},
	"assets/app-ABCD.css": {Data: []byte("body {}" + strings.Repeat(" ", 1000))},
}

// newConsole returns a handler that serves a console of these files, and an error for every other path.
func newConsole(t *testing.T, config Console) http.Handler {
	t.Helper()
	other := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeFault(w, r, fault.New(fault.RouteNotFound, "there is no such path"))
	})
	handler, err := withConsole(other, consoleFiles, config)
	must(t, err)
	return withSecurityHeaders(handler, true)
}

func TestConsoleIsServedAtItsPaths(t *testing.T) {
	handler := newConsole(t, Console{})
	const index, script, style = "index.html", "assets/app-ABCD.js", "assets/app-ABCD.css"
	for path, want := range map[string]struct{ file, kind, cache string }{
		"/":                                       {index, "text/html; charset=utf-8", "no-cache"},
		"/?status_class=4xx":                      {index, "text/html; charset=utf-8", "no-cache"},
		"/workspaces/acme/request-logs":           {index, "text/html; charset=utf-8", "no-cache"},
		"/workspaces/_unattributed/request-logs":  {index, "text/html; charset=utf-8", "no-cache"},
		"/workspaces/acme/api-keys?query=a":       {index, "text/html; charset=utf-8", "no-cache"},
		"/console/callback?code=c&state=s":        {index, "text/html; charset=utf-8", "no-cache"},
		"/console/assets/app-ABCD.js":             {script, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		"/console/assets/app-ABCD.css":            {style, "text/css; charset=utf-8", "public, max-age=31536000, immutable"},
		"/console/licenses.txt":                   {"licenses.txt", "text/plain; charset=utf-8", "no-cache"},
		"/console/index.html":                     {},
		"/console/assets/":                        {},
		"/console/assets/app-1234.js":             {},
		"/console/assets/../index.html":           {},
		"/console":                                {},
		"/index.html":                             {},
		"/workspaces/acme":                        {},
		"/workspaces//request-logs":               {},
		"/workspaces/acme/request-logs/":          {},
		"/workspaces/a/b/request-logs":            {},
		"/v1/workspaces/acme/request-logs":        {},
		"/workspaces/acme/request-logs/something": {},
	} {
		response := send(handler, "GET", path, "")
		if want.file == "" {
			expectError(t, response, 404, fault.RouteNotFound, "")
			continue
		}
		header := response.Header()
		if response.Code != 200 || !bytes.Equal(response.Body.Bytes(), consoleFiles[want.file].Data) ||
			header.Get("Content-Type") != want.kind || header.Get("Cache-Control") != want.cache {
			t.Errorf("%s: %d %.60q, %v; want %v", path, response.Code, response.Body, header, want)
		}
		if head := send(handler, "HEAD", path, ""); head.Code != 200 || head.Body.Len() != 0 ||
			head.Header().Get("ETag") != header.Get("ETag") {
			t.Errorf("HEAD %s: %d, %d bytes, %v", path, head.Code, head.Body.Len(), head.Header())
		}
		post := send(handler, "POST", path, "")
		if expectError(t, post, 405, fault.MethodUnknown, "POST"); post.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s allows %q", path, post.Header().Get("Allow"))
		}
	}
}

func TestConsoleHasAStrictPolicy(t *testing.T) {
	for issuer, connect := range map[string]string{
		"":                          "connect-src 'self'",
		"https://login.example.com": "connect-src 'self' https://login.example.com",
		"https://login.example.com:8443/realms/main": "connect-src 'self' https://login.example.com:8443",
	} {
		handler := newConsole(t, Console{Issuer: issuer})
		script := send(handler, "GET", "/console/assets/app-ABCD.js", "").Header()
		if got := script.Get("Content-Security-Policy"); got != securityHeaders["Content-Security-Policy"] {
			t.Errorf("the policy of a script is %q", got)
		}
		for _, path := range []string{"/", "/console/config.json"} {
			header := send(handler, "GET", path, "").Header()
			for name, want := range map[string]string{
				"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
					connect + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
				"Cross-Origin-Opener-Policy": "same-origin", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
				"X-Frame-Options": "DENY",
			} {
				if got := header.Get(name); got != want {
					t.Errorf("%s with the issuer %q: %s is %q, want %q", path, issuer, name, got, want)
				}
			}
		}
	}
}

func TestConsoleIsCompressedIfAccepted(t *testing.T) {
	handler := newConsole(t, Console{})
	for accepted, compressed := range map[string]bool{
		"": false, "identity": false, "gzip": true, "br, GZIP": true, "gzip;q=0": false, "gzip; q=0.5, br": true, "gzip;q=0.000": false,
		"*": true, "*;q=0": false, "gzip;q=0, *": false, "*;q=0, gzip": true, "deflate, br": false, "gzip;q=x": false,
	} {
		for path, file := range map[string]string{"/": "index.html", "/console/assets/app-ABCD.js": "assets/app-ABCD.js"} {
			response := send(handler, "GET", path, "", "Accept-Encoding", accepted)
			header, body := response.Header(), response.Body.Bytes()
			if header.Get("Vary") != "Accept-Encoding" || (header.Get("Content-Encoding") == "gzip") != compressed {
				t.Errorf("%s for %q: %v", path, accepted, header)
				continue
			}
			if compressed {
				if len(body) > 200 || header.Get("Content-Length") == "" {
					t.Errorf("%s for %q: %d bytes, %v", path, accepted, len(body), header)
				}
				reader, err := gzip.NewReader(response.Body)
				must(t, err)
				body, err = io.ReadAll(reader)
				must(t, err)
			}
			if !bytes.Equal(body, consoleFiles[file].Data) {
				t.Errorf("%s for %q is %.60q", path, accepted, body)
			}
		}
	}
}

// TestConsoleIsRevalidated: each encoding has a tag of its own, and a new build another one.
func TestConsoleIsRevalidated(t *testing.T) {
	handler := newConsole(t, Console{})
	plain := send(handler, "GET", "/", "").Header().Get("ETag")
	compressed := send(handler, "GET", "/", "", "Accept-Encoding", "gzip").Header().Get("ETag")
	config := send(handler, "GET", "/console/config.json", "").Header().Get("ETag")
	other := send(newConsole(t, Console{ClientID: "2"}), "GET", "/console/config.json", "").Header().Get("ETag")
	if plain == "" || plain == compressed || config == other {
		t.Errorf("the tags are %q and %q, and %q and %q", plain, compressed, config, other)
	}
	for _, tt := range []struct {
		tag, accepted string
		want          int
	}{{plain, "", 304}, {compressed, "", 200}, {plain, "gzip", 200}, {compressed, "gzip", 304}} {
		response := send(handler, "GET", "/", "", "If-None-Match", tt.tag, "Accept-Encoding", tt.accepted)
		if response.Code != tt.want || (response.Body.Len() == 0) != (tt.want == 304) ||
			response.Header().Get("Cache-Control") != "no-cache" {
			t.Errorf("a caller with %s who accepts %q: %d, %v", tt.tag, tt.accepted, response.Code, response.Header())
		}
	}
}

func TestConsoleReadsItsConfiguration(t *testing.T) {
	for name, tt := range map[string]struct {
		config Console
		want   string
	}{
		"none": {Console{}, `{"issuer":"","clientId":"","scope":""}`},
		"all": {
			Console{Issuer: "https://login.example.com", ClientID: "keytrail-console", Scope: "openid"},
			`{"issuer":"https://login.example.com","clientId":"keytrail-console","scope":"openid"}`,
		},
	} {
		response := send(newConsole(t, tt.config), "GET", "/console/config.json", "")
		header := response.Header()
		if response.Body.String() != tt.want || header.Get("Content-Type") != "application/json" ||
			header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %s, %v", name, response.Body, header)
		}
	}
}

func TestConsoleOfAnUnknownFormIsAnError(t *testing.T) {
	for name, files := range map[string]fstest.MapFS{
		"no page":         {},
		"an unknown type": {"index.html": {}, "assets/app-ABCD.php": {}},
	} {
		if _, err := withConsole(http.NotFoundHandler(), files, Console{}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// TestBuiltConsoleIsServed needs no token, but the host of this machine.
func TestBuiltConsoleIsServed(t *testing.T) {
	handler, _ := newGatewayOf(t, Config{Loopback: true}, accesstest.NewSigner(t))
	response := send(handler, "GET", "http://localhost/", "")
	if response.Code != 200 || !strings.Contains(response.Body.String(), "<html") {
		t.Errorf("got %d %.100s", response.Code, response.Body)
	}
	expectError(t, send(handler, "GET", "http://evil.example.com/", ""), 403, fault.OriginForbidden, "localhost")
}
