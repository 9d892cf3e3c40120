package browser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/keytrail/keytrail/internal/access"
)

// system is a running `keytrail serve` with its clients.
type system struct {
	dataDir string
	flags   []string
	// terminal makes the process print to a terminal.
	terminal bool
	cmd      *exec.Cmd
	printed  *output
	// copied is closed when everything that was printed to the terminal is in printed.
	copied chan struct{}
	signer *access.Signer
	// The addresses that it listens on, host:port.
	rest, logs, health string
}

// built is the keytrail command, built once for each test run.
var built struct {
	once sync.Once
	dir  string
	err  error
}

// binary builds the command once for all tests and returns its path.
func binary() (string, error) {
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "keytrail-browser-"); built.err != nil {
			return
		}
		build := exec.Command("go", "build", "-o", built.dir, "../..")
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // as in a release
		if out, err := build.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build: %w\n%s", err, out)
		}
	})
	return filepath.Join(built.dir, "keytrail"), built.err
}

// shared is the system of the tests that need no other one. Each has its own workspace. It starts on first use.
var shared struct {
	once    sync.Once
	system  *system
	dataDir string
	err     error
}

// sharedSystem returns the running system that tests share.
func sharedSystem(t *testing.T) *system {
	t.Helper()
	browserContext(t) // skips the test without Chromium
	shared.once.Do(func() {
		if shared.dataDir, shared.err = os.MkdirTemp("", "keytrail-browser-data-"); shared.err != nil {
			return
		}
		s := &system{dataDir: shared.dataDir}
		if shared.err = s.start(); shared.err == nil {
			shared.system = s
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.system
}

func stopShared() error {
	if shared.system == nil {
		return os.RemoveAll(shared.dataDir)
	}
	return errors.Join(shared.system.stop(), os.RemoveAll(shared.dataDir))
}

// startSystem starts a system for one test, with extra flags.
func startSystem(t *testing.T, flags ...string) *system {
	t.Helper()
	return startFor(t, &system{dataDir: t.TempDir(), flags: flags})
}

// startFor starts a system until the end of the test.
func startFor(t *testing.T, s *system) *system {
	t.Helper()
	browserContext(t)
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// start starts the process on free ports and waits until it is ready. After stop it starts again on the same gateway port,
// so that open pages find it.
func (s *system) start() error {
	command, err := binary()
	if err != nil {
		return err
	}
	const free = "127.0.0.1:0"
	gateway := free
	if s.rest != "" {
		gateway = s.rest
	}
	s.printed = &output{}
	s.cmd = exec.Command(command, append([]string{"serve", "--data-dir", s.dataDir,
		"--gateway-addr", gateway, "--auth-addr", free, "--logs-addr", free, "--ops-addr", free}, s.flags...)...)
	if err := s.run(); err != nil {
		return fmt.Errorf("start keytrail: %w", err)
	}
	if err := s.awaitReady(); err != nil {
		return errors.Join(err, s.stop())
	}
	s.signer, err = access.ReadSigner(filepath.Join(s.dataDir, "signing-key.pem"))
	return err
}

// run starts the process and collects what it prints.
func (s *system) run() error {
	if !s.terminal {
		s.cmd.Stdout, s.cmd.Stderr = s.printed, s.printed
		return s.cmd.Start()
	}
	screen, err := pty.Start(s.cmd)
	if err != nil {
		return err
	}
	s.copied = make(chan struct{})
	go func() {
		defer close(s.copied)
		_, _ = io.Copy(s.printed, screen) // ends with EIO when the process does
		_ = screen.Close()
	}()
	return nil
}

// awaitReady waits for the printed addresses and for /readyz.
func (s *system) awaitReady() error {
	return poll(context.Background(), func() error {
		for name, addr := range map[string]*string{"REST": &s.rest, "logs gRPC": &s.logs, "health": &s.health} {
			found := regexp.MustCompile(`(?m)^  ` + name + ` +(?:https?://)?([\d.:]+)`).FindStringSubmatch(s.printed.String())
			if found == nil {
				return fmt.Errorf("keytrail has not printed the address of %s:\n%s", name, s.printed)
			}
			*addr = found[1]
		}
		resp, err := http.Get("http://" + s.health + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("keytrail is not ready: %s\n%s", resp.Status, s.printed)
		}
		return nil
	})
}

// stop ends the process, if it runs.
func (s *system) stop() error {
	if s.cmd == nil {
		return nil
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop keytrail: %w", err)
	}
	err := s.cmd.Wait()
	s.cmd = nil
	if s.copied != nil {
		<-s.copied
	}
	if err != nil {
		return fmt.Errorf("stop keytrail: %w\n%s", err, s.printed)
	}
	return nil
}

func (s *system) origin() string { return "http://" + s.rest }

// token returns a token that is valid for an hour.
func (s *system) token(t *testing.T, role access.Role, workspaces ...string) string {
	t.Helper()
	return s.tokenFor(t, time.Hour, role, workspaces...)
}

// tokenFor is token with a lifetime.
func (s *system) tokenFor(t *testing.T, ttl time.Duration, role access.Role, workspaces ...string) string {
	t.Helper()
	token, err := s.signer.Token(access.Grant{Role: role, Workspaces: workspaces, From: time.Now(), TTL: ttl})
	if err != nil {
		t.Fatal(err)
	}
	return token
}
