package client

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keytrail/keytrail/internal/agentpath"
)

func TestOnlyThisMachineIsCalledInPlaintext(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"127.0.0.1": "insecure", "::1": "insecure", "localhost": "insecure", "LOCALHOST": "insecure",
		"::ffff:127.0.0.1": "insecure",
		"10.0.0.1":         "tls", "authsvc": "tls", "localhost.example.com": "tls", "0.0.0.0": "tls",
		"": "tls", "127.0.0.1.example.com": "tls",
	} {
		c := defaults()
		if got := c.transportTo(host).Info().SecurityProtocol; got != want {
			t.Errorf("%q is called by %s, want %s", host, got, want)
		}
		WithInsecure()(&c)
		if got := c.transportTo(host).Info().SecurityProtocol; got != "insecure" {
			t.Errorf("with WithInsecure, %q is called by %s", host, got)
		}
	}
}

func TestTokenFileIsReadAgain(t *testing.T) {
	t.Parallel()
	path, now := filepath.Join(t.TempDir(), "token"), time.Now()
	f := &tokenFile{path: path}
	for i, step := range []struct {
		content string
		later   time.Duration
		want    string
	}{
		{"one\n", 0, "one"}, {"two", tokenFileAge - 1, "one"}, {"two", tokenFileAge, "two"}, {" \n", 3 * tokenFileAge, ""},
	} {
		if err := os.WriteFile(path, []byte(step.content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := f.read(now.Add(step.later))
		if (err == nil) != (step.want != "") || err == nil && got.text.Reveal() != "Bearer "+step.want {
			t.Errorf("step %d: %q, %v", i, got.text.Reveal(), err)
		}
	}
}

func TestTokenIsNotPrinted(t *testing.T) {
	t.Parallel()
	c := defaults()
	WithToken("secret-token")(&c)
	if printed := fmt.Sprintf("%v %+v %#v", c, c, c.perRPC); strings.Contains(printed, "secret-token") {
		t.Error(printed)
	}
}

func TestTextIsUTF8(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]string{"/a": "/a", "/ü\xff�\x80": "/ü%FF�%80", "/ü": "/ü", "": ""} {
		if got := text(sent, 100); got != want {
			t.Errorf("%q becomes %q, want %q", sent, got, want)
		}
	}
	if got := text("üü", 3); got != "ü%C3" {
		t.Errorf("3 bytes of üü: %q", got)
	}
}

func TestEndpointOf(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{"/a%2Fb?x": "/a%2Fb", "http://host/a?x": "/a", "": "/own%20path"} {
		r, err := http.NewRequest(http.MethodGet, "/own%20path?x", nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.RequestURI = target; strings.HasPrefix(target, "http") {
			r.URL.Path = "/a"
		}
		if got := endpointOf(r); got != want {
			t.Errorf("%q: %q, want %q", target, got, want)
		}
	}
}

// TestPathHasOneReading: some routers read URL.RawPath, and others URL.Path.
func TestPathHasOneReading(t *testing.T) {
	t.Parallel()
	c := &Client{config: defaults()}
	var err error
	if c.paths, err = agentpath.Parse(c.templates); err != nil {
		t.Fatal(err)
	}
	for target, agent := range map[string]string{
		"/v1/agents/a1": "a1", "/v1/agents/é": "é", "/v1/agents/a%31|": "a1|", "/v1/agents/a1%23": "a1#",
		"/v1/agents/a1%2Fé": "", "/v1/agents/a1%2F..#a2": "", "/v1/agents%2Fa1/a2/é": "", "/v1/agents/a1#a2": "", "/v1/agents/é#": "",
	} {
		path, err := url.ParseRequestURI(target)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.agentOfRequest(&http.Request{URL: path}); got.ID != agent {
			t.Errorf("%s is on %+v, want the agent %q", target, got, agent)
		}
	}
	changed := &url.URL{Path: "/v1/agents/a1", RawPath: "/v1/agents/a%32"}
	if got := c.agentOfRequest(&http.Request{URL: changed}); got != (Agent{}) {
		t.Errorf("a path that was changed in part is on %+v", got)
	}
}
