package cli

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/testing/tlstest"
)

func TestPrivateKeysForEverybodyAreNamedOnce(t *testing.T) {
	signingKey := filepath.Join(t.TempDir(), signingKeyFile)
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
			_, err := listenFlags{TLSCert: tlsCert, TLSKey: tlsKey}.entrance(log)
			return err
		}},
		"serve": {signingKey, signingKey, func(log *slog.Logger) error {
			_, stop, err := serveFrom(filepath.Dir(signingKey), log)
			if err != nil {
				return err
			}
			return stop()
		}},
	} {
		for mode, want := range map[os.FileMode]int{0o600: 0, 0o640: 0, 0o644: 1, 0o602: 1} {
			if err := os.Chmod(file.real, mode); err != nil {
				t.Fatal(err)
			}
			told := &bytes.Buffer{}
			if err := file.use(slog.New(slog.NewTextHandler(told, nil))); err != nil {
				t.Fatal(err)
			}
			warnings := strings.Count(told.String(), "level=WARN")
			named := strings.Contains(told.String(), file.named) && strings.Contains(told.String(), fmt.Sprintf("mode=%04o", mode))
			if warnings != want || want > 0 && !named {
				t.Errorf("%s with the mode %o: told %q, want %d warnings", flag, mode, told, want)
			}
		}
	}
}
