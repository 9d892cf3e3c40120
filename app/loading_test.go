package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/test/bufconn"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/trail"
)

var errHalfway = errors.New("halfway")

// slowStore has many keys. It fails in the middle of the load, after a call of halfway.
type slowStore struct {
	authsvc.Store
	halfway func()
}

func (slowStore) TokenKey(context.Context) ([]byte, error) { return make([]byte, 32), nil }

func (s slowStore) ChangesSince(_ context.Context, _ authsvc.Position, apply func(authsvc.Change) error) (authsvc.Position, bool, error) {
	for n := range 3 {
		key := authsvc.Key{ID: uuid.New(), WorkspaceID: "acme", Secrets: []authsvc.Secret{{Digest: authsvc.Digest{byte(n)}}}}
		if err := apply(authsvc.Change{Revision: authsvc.Revision(n + 1), Key: key}); err != nil {
			return authsvc.Position{}, false, err
		}
	}
	s.halfway()
	return authsvc.Position{}, false, errHalfway
}

func TestReadinessCountsTheKeysWhileTheyAreLoaded(t *testing.T) {
	listener := bufconn.Listen(inMemoryBuffer)
	asked := false
	_, err := newServer("test", slog.New(slog.DiscardHandler), "127.0.0.1:0", listenFlags{}, func(s *Server) error {
		tokens, err := access.NewVerifier(access.Config{Now: time.Now})
		if err != nil {
			return err
		}
		return s.openAuth(t.Context(), authConfig{
			addr: "127.0.0.1:0", inMemory: []net.Listener{listener}, tokens: tokens, agentTypes: []string{"agent"}, now: time.Now,
			logs: inMemory(listener), logsToken: access.NewToken("none"), trailDir: t.TempDir(),
			trail: trailFlags{TrailFsync: time.Second, TrailMaxBytes: trail.MinBytes, TrailFull: trailFullAllow},
			store: slowStore{halfway: func() {
				asked = true
				code, body := request(t, s.OpsAddr(), "localhost", "/readyz")
				if code != 503 || !strings.Contains(body, "starting: loading the keys: 3 so far") {
					t.Errorf("/readyz during the load: %d %s", code, body)
				}
			}},
		})
	})
	if !asked || !errors.Is(err, errHalfway) {
		t.Errorf("the start returned %v; /readyz was requested: %v", err, asked)
	}
}
