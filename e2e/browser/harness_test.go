package browser

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// badPage has one of each problem that must fail a test.
const badPage = `<!doctype html><html lang="en"><title>Bad</title><body>
<style>body { color: red }</style>
<img src="/missing.png" alt="A picture">
<img src="http://127.0.0.1:1/closed.png" alt="A picture">
<img src="http://elsewhere.example/x.png" alt="A picture">
<button></button>
<script src="/bad.js"></script>`

const badScript = `console.error("logged", 1);
Promise.reject(new Error("rejected"));
throw new Error("thrown");`

// TestProblemsOfAPageAreSeen: the other tests are worth something only if their harness sees what is wrong.
func TestProblemsOfAPageAreSeen(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "style-src 'self'")
		_, _ = io.WriteString(w, badPage)
	})
	mux.HandleFunc("GET /bad.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = io.WriteString(w, badScript)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	p := openTab(t, browserContext(t), server.URL)
	p.open("/")
	for _, want := range []string{
		"Content Security Policy", "404 " + server.URL + "/missing.png",
		"request failed: net::ERR_NAME_NOT_RESOLVED http://elsewhere.example/x.png",
		"console: \"logged\" 1", "Error: rejected", "Error: thrown",
		"request to another origin: GET http://127.0.0.1:1/closed.png", "request to another origin: GET http://elsewhere.example/x.png",
	} {
		p.wait(func() error {
			if seen := strings.Join(p.traffic.unexpected([]string{server.URL}, nil), "\n"); !strings.Contains(seen, want) {
				return fmt.Errorf("the harness does not see %q:\n%s", want, seen)
			}
			return nil
		})
	}
	if found := p.violations(); !strings.Contains(strings.Join(found, "\n"), "button-name: ") {
		t.Errorf("axe-core does not find the button without a name: %q", found)
	}
	p.allowed = []string{"http://127.0.0.1:1", "http://elsewhere.example"}
	p.expect("")
}
