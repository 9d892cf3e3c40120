package cli

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/keytrail/keytrail/app"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
)

func TestSignInLinkIsPrintedToTerminalsOnly(t *testing.T) {
	dir := t.TempDir()
	signer, err := access.EnsureSigner(filepath.Join(dir, app.SigningKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	screen, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer screen.Close()
	pipe, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	const url = "http://127.0.0.1:8080"
	for _, w := range []*os.File{terminal, end, file} {
		if err := errors.Join(printSignIn(w, url, dir, time.Now()), w.Close()); err != nil {
			t.Fatal(err)
		}
	}
	logged, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	piped, err := io.ReadAll(pipe)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(logged), string(piped)} {
		if strings.Contains(text, "eyJ") || !strings.Contains(text, "keytrail token create --data-dir "+dir) ||
			!strings.Contains(text, "--console-url "+url+"\n") {
			t.Errorf("wrote to a file or a pipe: %q", text)
		}
	}
	shown, _ := io.ReadAll(screen) // it ends with an error, because the terminal is closed
	expectSignInLink(t, string(shown), url, signer)
}

// expectSignInLink expects a text to have a link with a token of an admin of all workspaces, for 12 hours.
func expectSignInLink(t *testing.T, text, url string, signer *access.Signer) {
	t.Helper()
	_, token, found := strings.Cut(text, url+"/#token=")
	identity, err := accesstest.Verifier(t, signer).Verify(strings.TrimSpace(token))
	if !found || err != nil {
		t.Fatalf("no link in %q: %v", text, err)
	}
	left := time.Until(identity.Expires())
	if identity.Role != access.Admin || !identity.AllWorkspaces() || left < 11*time.Hour || left > 12*time.Hour {
		t.Errorf("the token is of role %s, for all workspaces: %v, for %v", identity.Role, identity.AllWorkspaces(), left)
	}
}

func TestTokenCreatePrintsALink(t *testing.T) {
	dir := t.TempDir()
	signer, err := access.EnsureSigner(filepath.Join(dir, app.SigningKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	create := []string{"token", "create", "--data-dir", dir, "--role", "admin", "-w", "*", "--ttl", "12h"}
	for given, url := range map[string]string{
		"http://localhost:8080": "http://localhost:8080", "https://keytrail.example.com/": "https://keytrail.example.com",
	} {
		code, out, stderr := keytrail(t, append(create, "--console-url", given)...)
		if code != 0 || stderr != "" || strings.Count(out, "\n") != 1 || !strings.HasPrefix(out, url) {
			t.Fatalf("%s: exit code %d, out %q, err %q", given, code, out, stderr)
		}
		expectSignInLink(t, out, url, signer)
	}
}

func TestURLOfTheGatewayIsForABrowser(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080", "[::1]:8080": "http://[::1]:8080", "[::]:8080": "http://localhost:8080",
		"0.0.0.0:80": "http://localhost:80", "10.0.0.1:8080": "http://10.0.0.1:8080",
	} {
		if got := browserURL("http", addr); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}
