package app

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/testing/tlstest"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/trail"
)

func TestReadableKeysAreLoggedOnce(t *testing.T) {
	signingKey := filepath.Join(t.TempDir(), SigningKeyFile)
	if _, err := access.EnsureSigner(signingKey); err != nil {
		t.Fatal(err)
	}
	tlsCert, tlsKey := tlstest.NewAuthority(t).Issue(t, "server").Write(t)
	// As Kubernetes mounts it: a link to the file.
	linked := filepath.Join(t.TempDir(), "linked.pem")
	if err := os.Symlink(signingKey, linked); err != nil {
		t.Fatal(err)
	}
	for flag, file := range map[string]struct {
		named, real string
		use         func(*slog.Logger) error
	}{
		"--signing-key": {linked, signingKey, func(log *slog.Logger) error {
			_, err := callerFlags{SigningKey: linked}.credentials(time.Now, log)
			return err
		}},
		"--tls-key": {tlsKey, tlsKey, func(log *slog.Logger) error {
			_, err := listenFlags{TLSCert: tlsCert, TLSKey: tlsKey}.load(log)
			return err
		}},
		"serve": {signingKey, signingKey, func(log *slog.Logger) error {
			server, err := NewServer(t.Context(), serveConfig(filepath.Dir(signingKey)), log, time.Now)
			if err != nil {
				return err
			}
			return server.Close()
		}},
	} {
		for mode, want := range map[os.FileMode]int{0o600: 0, 0o640: 0, 0o644: 1, 0o602: 1} {
			if err := os.Chmod(file.real, mode); err != nil {
				t.Fatal(err)
			}
			logged := &bytes.Buffer{}
			if err := file.use(slog.New(slog.NewTextHandler(logged, nil))); err != nil {
				t.Fatal(err)
			}
			warnings := strings.Count(logged.String(), "level=WARN")
			named := strings.Contains(logged.String(), file.named) && strings.Contains(logged.String(), fmt.Sprintf("mode=%04o", mode))
			if warnings != want || want > 0 && !named {
				t.Errorf("%s with the mode %o: logged %q, want %d warnings", flag, mode, logged, want)
			}
		}
	}
}

// serveConfig returns the configuration of keytrail serve on free ports.
func serveConfig(dataDir string) ServeConfig {
	const free = "127.0.0.1:0"
	return ServeConfig{
		DataDir: dataDir, GatewayAddr: free, AuthAddr: free, LogsAddr: free, OpsAddr: free,
		Retention: logsvc.DefaultRetention, AgentTypes: []string{"agent"},
		trailFlags: trailFlags{TrailFsync: time.Second, TrailMaxBytes: trail.MinBytes, TrailFull: trailFullAllow},
	}
}

func TestTokenKeysMayBeInTheHomeFolder(t *testing.T) {
	user, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	got := expandHome([]string{"~/a.pem", "ingester=~/b.pem", "/c~/d.pem", "e.pem"})
	want := []string{user.HomeDir + "/a.pem", "ingester=" + user.HomeDir + "/b.pem", "/c~/d.pem", "e.pem"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
