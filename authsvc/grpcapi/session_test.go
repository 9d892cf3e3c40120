package grpcapi_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/keytrail/keytrail/authsvc"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
)

// sessions calls GetSession with different tokens.
type sessions struct {
	authv1.SessionServiceClient
	signer *access.Signer
}

func newSessions(t *testing.T, f *fixture) sessions {
	t.Helper()
	signer := accesstest.NewSigner(t)
	conn := f.serve(t, access.NewAuthorizer(accesstest.Verifier(t, signer)))
	return sessions{authv1.NewSessionServiceClient(conn), signer}
}

// as returns the context of a call with a token.
func (s sessions) as(t *testing.T, role access.Role, workspaces ...string) context.Context {
	t.Helper()
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", accesstest.Bearer(t, s.signer, role, workspaces...))
}

// pages reads all pages of a session and returns their workspaces.
func (s sessions) pages(ctx context.Context, t *testing.T, size int32) (pages [][]string) {
	t.Helper()
	for token := ""; ; {
		session, err := s.GetSession(ctx, &authv1.GetSessionRequest{PageSize: size, PageToken: token})
		must(t, err)
		pages = append(pages, session.GetWorkspaceIds())
		if token = session.GetNextPageToken(); token == "" || len(pages) > 20 {
			return pages
		}
	}
}

func TestSessionDescribesTheToken(t *testing.T) {
	f := newFixture(t)
	for _, workspace := range []string{"globex", "acme", "acme"} {
		f.create(t, func(k *authsvc.Key) { k.WorkspaceID = workspace })
	}
	s := newSessions(t, f)
	for _, role := range access.Roles {
		for name, tt := range map[string]struct {
			workspaces, want []string
			all              bool
		}{
			"all workspaces": {[]string{access.AllWorkspaces}, []string{"acme", "globex"}, true},
			"one":            {[]string{"initech"}, []string{"initech"}, false},
			"several":        {[]string{"initech", "acme", "initech", "hooli"}, []string{"acme", "hooli", "initech"}, false},
		} {
			if tt.all && !role.Reads() {
				tt.want = nil
			}
			before := time.Now()
			session, err := s.GetSession(s.as(t, role, tt.workspaces...), &authv1.GetSessionRequest{})
			must(t, err)
			if session.GetRole() != string(role) || session.GetAllWorkspaces() != tt.all || session.GetNextPageToken() != "" ||
				!cmp.Equal(session.GetWorkspaceIds(), tt.want) {
				t.Errorf("%s, %s: %v", role, name, session)
			}
			// Tokens of tests are valid for an hour, in whole seconds.
			expires := session.GetExpireTime().AsTime()
			if expires.Before(before.Add(time.Hour-time.Second)) || expires.After(time.Now().Add(time.Hour)) {
				t.Errorf("%s, %s: expires at %v", role, name, expires)
			}
		}
	}
	_, err := s.GetSession(t.Context(), &authv1.GetSessionRequest{})
	expectStatus(t, err, codes.Unauthenticated)
}

func TestSessionHasPages(t *testing.T) {
	f := newFixture(t)
	for i := range 5 {
		f.create(t, func(k *authsvc.Key) { k.WorkspaceID = fmt.Sprint("w", i) })
	}
	s := newSessions(t, f)
	for name, ctx := range map[string]context.Context{
		"all workspaces": s.as(t, access.Admin, access.AllWorkspaces),
		"some":           s.as(t, access.Viewer, "w4", "w2", "w0", "w1", "w3"),
	} {
		whole := [][]string{{"w0", "w1", "w2", "w3", "w4"}}
		for size, want := range map[int32][][]string{2: {{"w0", "w1"}, {"w2", "w3"}, {"w4"}}, 5: whole, 0: whole, 1e9: whole} {
			if diff := cmp.Diff(want, s.pages(ctx, t, size)); diff != "" {
				t.Errorf("%s, by %d (-want +got):\n%s", name, size, diff)
			}
		}
		// The workspaces of request logs, over REST.
		session, err := s.GetSession(ctx, &authv1.GetSessionRequest{PageToken: "_unattributed"})
		if err != nil || len(session.GetWorkspaceIds()) != 5 {
			t.Errorf("%s, after _unattributed: %v, %v", name, session, err)
		}
		_, err = s.GetSession(ctx, &authv1.GetSessionRequest{PageToken: "Not.A.Token"})
		expectBad(t, err, "page_token")
		_, err = s.GetSession(ctx, &authv1.GetSessionRequest{PageSize: -1})
		expectBad(t, err, "page_size")
	}
}

func TestFindKeys(t *testing.T) {
	f := newFixture(t)
	first, _ := f.create(t, nil)
	second, _ := f.create(t, func(k *authsvc.Key) { k.Disabled = true })
	other, _ := f.create(t, func(k *authsvc.Key) { k.WorkspaceID = "globex" })
	deleted, _ := f.create(t, nil)
	must(t, f.keys.Delete(t.Context(), "acme", deleted.ID, ""))
	keys := authv1.NewKeyServiceClient(f.dial(t))
	find := func(workspace string, ids ...uuid.UUID) ([]string, error) {
		request := &authv1.FindKeysRequest{WorkspaceId: workspace}
		for _, id := range ids {
			request.KeyIds = append(request.KeyIds, id.String())
		}
		found, err := keys.FindKeys(t.Context(), request)
		return found.GetKeyIds(), err
	}
	all := []uuid.UUID{second.ID, deleted.ID, uuid.New(), other.ID, first.ID}
	for workspace, want := range map[string][]string{
		"acme": {second.ID.String(), first.ID.String()}, "globex": {other.ID.String()}, "initech": nil, authsvc.Unattributed: nil,
	} {
		if got, err := find(workspace, all...); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s has %v, %v; want %v", workspace, got, err, want)
		}
	}
	if got, err := find("acme"); err != nil || got != nil {
		t.Errorf("none: %v, %v", got, err)
	}
	_, err := find("acme", make([]uuid.UUID, 1)...)
	expectBad(t, err, "key_ids[0]")
	_, err = find("acme", make([]uuid.UUID, 1001)...)
	expectBad(t, err, "key_ids")
	_, err = keys.FindKeys(t.Context(), &authv1.FindKeysRequest{WorkspaceId: "acme", KeyIds: []string{"x"}})
	expectBad(t, err, "key_ids[0]")
}
