package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Standby returns a new streaming standby of the server, as it is now. It is down: Up starts it, and while it is down it lags.
// The caller must stop it.
func (s *Server) Standby(ctx context.Context) (*Server, error) {
	standby := &Server{bin: s.bin, credential: s.credential, settings: s.settings}
	var err error
	if standby.dir, err = os.MkdirTemp(quickFolder(), "keytrail-pg-"); err != nil {
		return nil, fmt.Errorf("folder for a standby: %w", err)
	}
	if c := s.credential; c != nil {
		err = os.Chown(standby.dir, int(c.Uid), int(c.Gid))
	}
	if err == nil {
		err = standby.run(ctx, "pg_basebackup", "-d", s.URL(""), "-D", standby.data(), "-R", "-c", "fast", "--no-sync")
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(standby.dir))
	}
	return standby, nil
}

// URLOfEither returns the URL of a database on the server or on another one, whichever the client accepts.
func (s *Server) URLOfEither(other *Server, database string) string {
	return urlOf(database, s.dir, other.dir)
}
