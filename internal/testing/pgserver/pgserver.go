// Package pgserver runs a private Postgres from installed binaries, for tests and benchmarks. It has its own data folder, is
// reachable through a Unix socket only, and ends with the process that started it.
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Options configure a server. The zero value is a server for tests.
type Options struct {
	// Durable servers are for benchmarks: they sync to the disk, and are sized for millions of rows. Others never sync. They
	// are fast, and what they acknowledge survives a crash of Postgres but not of the machine.
	Durable bool
}

// Server is a running Postgres. Its methods are not safe for concurrent use, except URL.
type Server struct {
	bin        string // the folder of the binaries
	dir        string // holds data, log and socket
	settings   []string
	credential *syscall.Credential // nil = that of this process
	process    *process            // nil while it is down
}

// BinariesVariable is the environment variable that names the folder of initdb and postgres. Where it is not set they are
// searched for in PATH, then where Debian installs them.
const BinariesVariable = "KEYTRAIL_POSTGRES_BIN"

// ErrNoBinaries is returned by Start where Postgres is not installed.
var ErrNoBinaries = errors.New("no Postgres here: apt-get install postgresql, or set " + BinariesVariable +
	" to the folder that holds initdb and postgres")

var (
	commonSettings = []string{"listen_addresses=", "port=5432", "max_connections=200"}
	// quickSettings never sync. Commits are still written before they are acknowledged, so that a crash of Postgres, which
	// tests cause, loses none.
	quickSettings = []string{"fsync=off", "full_page_writes=off", "shared_buffers=64MB"}
	// durableSettings are those of a typical small machine.
	durableSettings = []string{
		"fsync=on", "synchronous_commit=on", "shared_buffers=1GB", "effective_cache_size=3GB",
		"max_wal_size=8GB", "checkpoint_timeout=15min", "wal_compression=on", "maintenance_work_mem=256MB",
	}
)

const superuser = "postgres"

// Start creates a new server in the folder for temporary files and waits until it accepts connections.
func Start(ctx context.Context, options Options) (*Server, error) {
	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	credential, err := serverCredential()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, credential: credential, settings: slices.Concat(commonSettings, quickSettings)}
	parent := quickFolder()
	if options.Durable {
		parent, s.settings = os.TempDir(), slices.Concat(commonSettings, durableSettings)
	}
	if s.dir, err = os.MkdirTemp(parent, "keytrail-pg-"); err != nil {
		return nil, fmt.Errorf("folder for a private Postgres: %w", err)
	}
	if err := s.create(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	return s, nil
}

// create creates the database cluster and starts the server. Only users of this machine reach the socket, so no role has a
// password.
func (s *Server) create(ctx context.Context) error {
	if c := s.credential; c != nil {
		if err := os.Chown(s.dir, int(c.Uid), int(c.Gid)); err != nil {
			return err
		}
	}
	if err := s.run(ctx, "initdb", "-D", s.data(), "-A", "trust", "-U", superuser, "-E", "UTF8", "--no-locale", "--no-sync"); err != nil {
		return err
	}
	return s.Up(ctx)
}

func findBinaries() (string, error) {
	folders := []string{os.Getenv(BinariesVariable)}
	if folders[0] == "" {
		folders, _ = filepath.Glob("/usr/lib/postgresql/*/bin") // fails only for a malformed pattern
		slices.Reverse(folders)                                 // the newest version first
		if initdb, err := exec.LookPath("initdb"); err == nil {
			// A link in the PATH leads to the folder that has the other programs too.
			if target, err := filepath.EvalSymlinks(initdb); err == nil {
				folders = append([]string{filepath.Dir(target)}, folders...)
			}
		}
	}
	for _, folder := range folders {
		_, initdbErr := exec.LookPath(filepath.Join(folder, "initdb"))
		_, postgresErr := exec.LookPath(filepath.Join(folder, "postgres"))
		if initdbErr == nil && postgresErr == nil {
			return folder, nil
		}
	}
	return "", ErrNoBinaries
}

func (s *Server) data() string    { return filepath.Join(s.dir, "data") }
func (s *Server) logFile() string { return filepath.Join(s.dir, "log") }

// URL returns the URL of a database of this server, as its superuser. It stays the same through restarts.
func (s *Server) URL(database string) string { return urlOf(database, s.dir) }

func urlOf(database string, folders ...string) string {
	address := url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/" + database, RawQuery: url.Values{
		"host": {strings.Join(folders, ",")}, "port": {strings.Repeat(",5432", len(folders))[1:]}, "sslmode": {"disable"},
	}.Encode()}
	return address.String()
}

// Socket returns the path of the Unix socket that the server listens on.
func (s *Server) Socket() string { return filepath.Join(s.dir, ".s.PGSQL.5432") }

// Program returns the path of a program of the server's release, e.g. "pg_dump". It may be missing.
func (s *Server) Program(name string) string { return filepath.Join(s.bin, name) }

// Stop ends the server and removes its data.
func (s *Server) Stop() error {
	return errors.Join(s.Down(Fast), os.RemoveAll(s.dir))
}

// Restart stops the server and starts it again on the same data.
func (s *Server) Restart(ctx context.Context, mode Mode) error {
	if err := s.Down(mode); err != nil {
		return err
	}
	return s.Up(ctx)
}

// Up starts the server if it is down, and waits until it accepts connections.
func (s *Server) Up(ctx context.Context) error {
	if s.process != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	p, err := s.launch()
	if err != nil {
		return err
	}
	s.process = p
	if err := s.awaitReady(ctx, p); err != nil {
		return errors.Join(fmt.Errorf("private Postgres: %w; its log ends with:\n%s", err, s.LogTail()), s.Down(Immediate))
	}
	return nil
}
