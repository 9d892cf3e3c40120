// Package pgserver runs a private Postgres from installed binaries, for tests and measurements: its own data, its
// own folder, reachable through a Unix socket alone, gone with the process that started it.
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// Options say what the server is for. The zero value is a server for tests.
type Options struct {
	// Durable servers are for measurements: what they acknowledge is on the disk, and they are sized for millions
	// of rows. Others never sync: they are fast, and what they acknowledge outlives a crash of Postgres but not of
	// the machine.
	Durable bool
	// Dir is where the server's folder is made; empty = the folder for temporary files (TMPDIR), and for a server
	// that is not durable memory, where there is enough. The user of the server must be able to enter it.
	Dir string
	// Settings are more of postgresql.conf, as "name=value"; they win over the ones made here.
	Settings []string
}

// Server is a running Postgres. Its methods are for one goroutine at a time, except URL.
type Server struct {
	options Options
	bin     string // the folder of the binaries
	dir     string // holds data, log and socket
	account account
	process *process // nil while it is down
}

// superuser is the role that URL connects as. Nobody needs a password: only this machine's users reach the socket.
const superuser = "postgres"

// Start makes a new server and waits until it answers. It fails with ErrNoBinaries where there is no Postgres.
func Start(ctx context.Context, options Options) (*Server, error) {
	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	s := &Server{options: options, bin: bin}
	if s.account, err = serverAccount(); err != nil {
		return nil, err
	}
	if err := s.makeFolder(); err != nil {
		return nil, fmt.Errorf("folder for a private Postgres: %w", err)
	}
	if err := s.create(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	return s, nil
}

// create makes the data and brings the server up.
func (s *Server) create(ctx context.Context) error {
	args := []string{"-D", s.data(), "-A", "trust", "-U", superuser, "-E", "UTF8", "--no-locale", "--no-sync"}
	if err := s.run(ctx, "initdb", args...); err != nil {
		return err
	}
	return s.Up(ctx)
}

// place is where the server's folder is made.
func (o Options) place() string {
	switch {
	case o.Dir != "":
		return o.Dir
	case o.Durable:
		return os.TempDir()
	}
	return quickPlace()
}

// longestSocket is what fits into sun_path on every Unix, less the name that Postgres adds.
const longestSocket = 103 - len("/.s.PGSQL.5432")

// makeFolder makes the server's folder and gives it to the server's user.
func (s *Server) makeFolder() error {
	dir, err := os.MkdirTemp(s.options.place(), "keytrail-pg-")
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if len(dir) > longestSocket {
		return errors.Join(fmt.Errorf("%s is too long for a Unix socket: name a shorter one (TMPDIR)", dir), os.Remove(dir))
	}
	s.dir = dir
	return s.account.own(dir)
}

func (s *Server) data() string    { return filepath.Join(s.dir, "data") }
func (s *Server) logFile() string { return filepath.Join(s.dir, "log") }

// URL is the address of a database of this server, as its superuser. It stays the same through restarts.
func (s *Server) URL(database string) string {
	address := url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/" + database,
		RawQuery: url.Values{"host": {s.dir}, "port": {"5432"}, "sslmode": {"disable"}}.Encode()}
	return address.String()
}

// Program is the path of one of Postgres' own programs, of the release of the server: "pg_dump". It may be missing.
func (s *Server) Program(name string) string { return filepath.Join(s.bin, name) }

// Stop ends the server for good and removes its data.
func (s *Server) Stop() error {
	return errors.Join(s.Down(Fast), os.RemoveAll(s.dir))
}

// Restart takes the server down and brings it up again on the same data.
func (s *Server) Restart(ctx context.Context, mode Mode) error {
	if err := s.Down(mode); err != nil {
		return err
	}
	return s.Up(ctx)
}

// Up brings the server up where it is down, and waits until it answers.
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
		return errors.Join(fmt.Errorf("private Postgres: %w; its log ends with:\n%s", err, s.logTail()), s.Down(Immediate))
	}
	return nil
}
