package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
)

// keyIDs are the ids of keys; only the first one exists.
var keyIDs = []string{keyID, "01890a5d-ac96-774b-bcce-b302099a8058"}

// workspaceServices are an auth service and a log service. Both have workspaces, in ascending order.
type workspaceServices struct {
	authv1.UnimplementedKeyServiceServer
	authv1.UnimplementedSessionServiceServer
	logsv1.UnimplementedLogServiceServer
	role        access.Role
	own         []string // of a token that is not for all workspaces
	keyed, used []string // that have keys, and that have request logs
}

// workspacesOf returns services for a token for all workspaces.
func workspacesOf(role access.Role, keyed, used string) workspaceServices {
	return workspaceServices{role: role, keyed: strings.Fields(keyed), used: strings.Fields(used)}
}

// pageAfter returns the first of ids after another one, and whether there are more.
func pageAfter(ids []string, after string, size int32) (page []string, more bool) {
	i, found := slices.BinarySearch(ids, after)
	if found {
		i++
	}
	ids = ids[i:]
	return ids[:min(int(size), len(ids))], len(ids) > int(size)
}

func (s *workspaceServices) GetSession(_ context.Context, req *authv1.GetSessionRequest) (*authv1.GetSessionResponse, error) {
	session := &authv1.GetSessionResponse{Role: string(s.role), AllWorkspaces: s.own == nil}
	ids, more := pageAfter(append(slices.Clone(s.own), s.keyed...), req.GetPageToken(), req.GetPageSize())
	if session.WorkspaceIds = ids; more {
		session.NextPageToken = ids[len(ids)-1]
	}
	return session, nil
}

func (s *workspaceServices) ListLogWorkspaces(
	_ context.Context, req *logsv1.ListLogWorkspacesRequest,
) (*logsv1.ListLogWorkspacesResponse, error) {
	ids, _ := pageAfter(s.used, req.GetAfter(), req.GetPageSize())
	return &logsv1.ListLogWorkspacesResponse{WorkspaceIds: ids}, nil
}

func (s *workspaceServices) FindKeys(_ context.Context, req *authv1.FindKeysRequest) (*authv1.FindKeysResponse, error) {
	if req.GetWorkspaceId() != "acme" || !slices.Equal(req.GetKeyIds(), keyIDs) {
		return nil, fault.New(fault.KeyNotFound, "not the keys of the log")
	}
	return &authv1.FindKeysResponse{KeyIds: keyIDs[:1]}, nil
}

func (s *workspaceServices) ListLogKeys(context.Context, *logsv1.ListLogKeysRequest) (*logsv1.ListLogKeysResponse, error) {
	response := &logsv1.ListLogKeysResponse{}
	for _, id := range keyIDs {
		response.Keys = append(response.Keys, &logsv1.LogKey{KeyId: id})
	}
	return response, nil
}

// gateway returns a gateway to the services; those that are away cannot be reached.
func (s *workspaceServices) gateway(t *testing.T, authAway, logsAway bool) http.Handler {
	t.Helper()
	auth, logs := grpc.NewServer(), grpc.NewServer()
	authv1.RegisterKeyServiceServer(auth, s)
	authv1.RegisterSessionServiceServer(auth, s)
	logsv1.RegisterLogServiceServer(logs, s)
	config := Config{Auth: connect(t, auth.Serve, auth.Stop), Logs: connect(t, logs.Serve, logs.Stop)}
	if authAway {
		config.Auth = connectNowhere(t)
	}
	if logsAway {
		config.Logs = connectNowhere(t)
	}
	signer := accesstest.NewSigner(t)
	config.Verifier, config.Log = accesstest.Verifier(t, signer), slog.New(slog.DiscardHandler)
	handler, err := New(t.Context(), config)
	must(t, err)
	return withToken(t, handler, signer)
}

// connectNowhere returns a connection to a service that cannot be reached.
func connectNowhere(t *testing.T) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:nowhere", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return nil, errors.New("away") }))
	must(t, err)
	t.Cleanup(func() { must(t, conn.Close()) })
	return conn
}

// sessionPages reads all pages of a session and returns their workspaces, with spaces between them.
func sessionPages(t *testing.T, handler http.Handler, size int) (pages []string) {
	t.Helper()
	for token := ""; ; {
		response := send(handler, "GET", "/v1/session?page_size="+strconv.Itoa(size)+"&page_token="+token, "")
		var page struct {
			WorkspaceIDs  []string `json:"workspaceIds"`
			NextPageToken string
		}
		must(t, json.Unmarshal(response.Body.Bytes(), &page))
		if response.Code != 200 || len(pages) > 20 {
			t.Fatalf("page %d is %d %s", len(pages), response.Code, response.Body)
		}
		pages = append(pages, strings.Join(page.WorkspaceIDs, " "))
		if token = page.NextPageToken; token == "" {
			return pages
		}
	}
}

func TestSessionHasTheWorkspacesOfBothServices(t *testing.T) {
	admin := func(keyed, used string) workspaceServices { return workspacesOf(access.Admin, keyed, used) }
	some := admin("", "b c")
	some.own = []string{"a", "b"}
	for name, tt := range map[string]struct {
		services workspaceServices
		away     bool
		size     int
		want     []string // pages, with spaces between their workspaces
	}{
		"both":                   {admin("a c", "_unattributed b c"), false, 10, []string{"_unattributed a b c"}},
		"a viewer":               {workspacesOf(access.Viewer, "a", "b"), false, 10, []string{"a b"}},
		"pages":                  {admin("a c e g", "b c d f"), false, 3, []string{"a b c", "d e f", "g"}},
		"keys only":              {admin("a b c", ""), false, 2, []string{"a b", "c"}},
		"request logs only":      {admin("", "a b c"), false, 2, []string{"a b", "c"}},
		"keys before logs":       {admin("a b", "y z"), false, 1, []string{"a", "b", "y", "z", ""}},
		"the same in both":       {admin("a b c", "a b c"), false, 2, []string{"a b", "c"}},
		"nothing":                {admin("", ""), false, 2, []string{""}},
		"some workspaces":        {some, false, 10, []string{"a b"}},
		"a checker":              {workspacesOf(access.Checker, "a", "b"), false, 10, []string{"a"}},
		"the log service is off": {admin("a c e", "b"), true, 2, []string{"a c", "e"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := sessionPages(t, tt.services.gateway(t, false, tt.away), tt.size)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("the pages (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSessionNeedsTheAuthService(t *testing.T) {
	services := workspaceServices{role: access.Admin}
	expectError(t, send(services.gateway(t, true, false), "GET", "/v1/session", ""), 503, fault.ServiceUnreachable, "")
}

func TestLogKeysSayWhetherTheyExist(t *testing.T) {
	services := workspaceServices{}
	for _, away := range []bool{false, true} {
		response := send(services.gateway(t, away, false), "GET", "/v1/workspaces/acme/request-logs:keys", "")
		var got struct {
			Keys []struct {
				KeyID  string `json:"keyId"`
				Exists *bool
			}
		}
		must(t, json.Unmarshal(response.Body.Bytes(), &got))
		if response.Code != 200 || len(got.Keys) != 2 {
			t.Fatalf("got %d %s", response.Code, response.Body)
		}
		for i, want := range []bool{true, false} {
			if exists := got.Keys[i].Exists; (exists == nil) != away || exists != nil && *exists != want {
				t.Errorf("the auth service is away: %v, key %d: %s", away, i, response.Body)
			}
		}
	}
}
