package e2e

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/testing/pgserver"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
)

// TestChangesAfterAFailoverThatLostRevisionsAreInForce promotes a standby that misses more revisions of a running auth service
// than are made after it.
func TestChangesAfterAFailoverThatLostRevisionsAreInForce(t *testing.T) {
	t.Parallel()
	primary := pgtest.Private(t)
	s := newRestarting(t, primary.URL("postgres"))
	must(t, s.start())
	k := s.create()
	must(t, s.stop())
	standby, err := primary.Standby(t.Context())
	must(t, err)
	t.Cleanup(func() { must(t, standby.Stop()) })
	s.config.DatabaseURL = primary.URLOfEither(standby, "postgres")
	must(t, s.start())
	for range 5 {
		s.create()
	}

	must(t, primary.Down(pgserver.Immediate))
	must(t, standby.Up(t.Context()))
	promote(t, standby)
	await(t, waitTimeout, func() bool {
		err = s.disable(k)
		return status.Code(err) != codes.Unavailable
	}, func() any { return err })
	must(t, err)
	if code := s.check(k).GetDenial().GetCode(); code != "disabled" {
		t.Errorf("a key that was disabled after the failover: %q", code)
	}
	must(t, s.delete(k))
	if code := s.check(k).GetDenial().GetCode(); code != "invalid_token" {
		t.Errorf("a key that was deleted after the failover: %q", code)
	}
	must(t, s.stop())
	if !strings.Contains(s.logged.String(), "the key store lost revisions") {
		t.Errorf("logged: %s", s.logged.String())
	}
}

func (s *restarting) delete(k *authv1.CreateKeyResponse) error {
	_, err := s.keys.DeleteKey(s.t.Context(), &authv1.DeleteKeyRequest{WorkspaceId: "acme", KeyId: k.GetKey().GetId()})
	return err
}

func (s *restarting) disable(k *authv1.CreateKeyResponse) error {
	_, err := s.keys.UpdateKey(s.t.Context(), &authv1.UpdateKeyRequest{
		WorkspaceId: "acme", KeyId: k.GetKey().GetId(), Key: &authv1.Key{Disabled: true},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"disabled"}},
	})
	return err
}

func promote(t *testing.T, standby *pgserver.Server) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), standby.URL("postgres"))
	must(t, err)
	_, err = conn.Exec(t.Context(), `SELECT pg_promote()`)
	must(t, err)
	must(t, conn.Close(t.Context()))
}
