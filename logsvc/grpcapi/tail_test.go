package grpcapi_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/pagetoken"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/grpcapi"
)

// tailStream is an open stream.
type tailStream struct {
	t *testing.T
	grpc.ServerStreamingClient[logsv1.TailRequestLogsResponse]
	first *logsv1.TailRequestLogsResponse
}

// newTailFixture is newFixture with a service that follows its store.
func newTailFixture(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); f.service.FollowStore(ctx, func(error) {}) }()
	t.Cleanup(func() { cancel(); <-ended })
	return f
}

// tail opens a stream, and reads its first message.
func (f *fixture) tail(t *testing.T, request *logsv1.TailRequestLogsRequest) *tailStream {
	t.Helper()
	request.WorkspaceId = "acme"
	stream, err := f.TailRequestLogs(t.Context(), request)
	must(t, err)
	first, err := stream.Recv()
	must(t, err)
	return &tailStream{t, stream, first}
}

// row returns the first row of the next message that has some.
func (s *tailStream) row() *logsv1.RequestLog {
	s.t.Helper()
	for {
		m, err := s.Recv()
		must(s.t, err)
		if m.GetResumeToken() == "" {
			s.t.Error("a message has no resume token")
		}
		if rows := m.GetRequestLogs(); len(rows) > 0 {
			return rows[0]
		}
	}
}

func TestTailIsFilteredAsAListIs(t *testing.T) {
	logs := newTailFixture(t)
	wanted := entryAt(noon)
	wanted.Method, wanted.Endpoint, wanted.Status = "POST", "/V1/agents", 404
	others := []logsvc.Entry{wanted, wanted, wanted, wanted}
	for i := range others {
		others[i].ID = entryAt(noon.Add(-time.Second)).ID
	}
	others[0].Method, others[1].Endpoint, others[2].Status, others[3].WorkspaceID = "GET", "/v2", 200, "globex"
	s := logs.tail(t, &logsv1.TailRequestLogsRequest{Method: "POST", Endpoint: "/v1", StatusClass: "4xx"})
	if s.first.GetGap() != nil || len(s.first.GetRequestLogs()) > 0 || s.first.GetResumeToken() == "" {
		t.Errorf("the first message is %v", s.first)
	}
	logs.record(t, others...)
	logs.record(t, wanted)
	if got := s.row(); got.GetId() != wanted.ID.String() || got.GetEndpoint() != wanted.Endpoint {
		t.Errorf("sent %v", got)
	}
}

func TestTailResumesFromItsToken(t *testing.T) {
	logs := newTailFixture(t)
	token := logs.tail(t, &logsv1.TailRequestLogsRequest{}).first.GetResumeToken()
	within, older := entryAt(noon.Add(-time.Minute)), entryAt(noon.Add(-3*time.Minute))
	logs.record(t, within, older)
	s := logs.tail(t, &logsv1.TailRequestLogsRequest{ResumeToken: token, Method: "GET"})
	if gap := s.first.GetGap().GetStartTime().AsTime(); !gap.Equal(noon.Add(-2 * time.Minute)) {
		t.Errorf("the gap begins at %v", gap)
	}
	if got := s.row().GetId(); got != within.ID.String() {
		t.Errorf("sent again: %s, want %s", got, within.ID)
	}
}

func TestInvalidTailsNameTheField(t *testing.T) {
	logs := newTailFixture(t)
	token := logs.tail(t, &logsv1.TailRequestLogsRequest{}).first.GetResumeToken()
	for name, tt := range map[string]struct {
		field   string
		request *logsv1.TailRequestLogsRequest
	}{
		"another workspace": {"resume_token", &logsv1.TailRequestLogsRequest{WorkspaceId: "globex", ResumeToken: token}},
		"the token of a list": {"resume_token", &logsv1.TailRequestLogsRequest{
			WorkspaceId: "acme", ResumeToken: pagetoken.Encode(entryAt(noon).ID, "x"),
		}},
		"no token": {"resume_token", &logsv1.TailRequestLogsRequest{WorkspaceId: "acme", ResumeToken: "%"}},
		"NUL":      {"agent_id", &logsv1.TailRequestLogsRequest{WorkspaceId: "acme", AgentId: "a\x00"}},
		"a class":  {"status_class", &logsv1.TailRequestLogsRequest{WorkspaceId: "acme", StatusClass: "3xx"}},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := logs.TailRequestLogs(t.Context(), tt.request)
			must(t, err)
			_, err = stream.Recv()
			expectInvalid(t, err, tt.field)
		})
	}
}

// TestReaderThatStopsReadingIsDropped reads nothing until the service has given up the stream, whose handler waits in Send.
func TestReaderThatStopsReadingIsDropped(t *testing.T) {
	logs := newTailFixture(t)
	fast, slow := logs.tail(t, &logsv1.TailRequestLogsRequest{}), logs.tail(t, &logsv1.TailRequestLogsRequest{})
	for range 18 { // now the workspace has as many as it may have
		logs.tail(t, &logsv1.TailRequestLogsRequest{})
	}
	want := map[string]bool{}
	for batch := range 12 {
		entries := make([]logsvc.Entry, 1000)
		for i := range entries {
			entries[i] = entryAt(noon)
			entries[i].Endpoint = fmt.Sprintf("/%d/%d/%s", batch, i, strings.Repeat("x", 1000))
			want[entries[i].ID.String()] = true
		}
		logs.record(t, entries...)
		for n := 0; n < len(entries); {
			m, err := fast.Recv()
			must(t, err)
			n += len(m.GetRequestLogs())
		}
	}
	logs.awaitRoom(t)
	token, err := slow.drain(want)
	info, _ := status.Convert(err).Details()[0].(*errdetails.ErrorInfo)
	if status.Code(err) != codes.ResourceExhausted || info.GetReason() != "TAIL_TOO_SLOW" {
		t.Fatalf("the stream ended with %v", err)
	}
	if len(want) == 0 {
		t.Error("the slow reader was sent everything")
	}
	resumed := logs.tail(t, &logsv1.TailRequestLogsRequest{ResumeToken: token})
	for len(want) > 0 {
		m, err := resumed.Recv()
		must(t, err)
		for _, row := range m.GetRequestLogs() {
			delete(want, row.GetId())
		}
	}
}

// awaitRoom waits until a stream can be opened: until others have ended, although their readers do not read.
func (f *fixture) awaitRoom(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		stream, err := f.TailRequestLogs(ctx, &logsv1.TailRequestLogsRequest{WorkspaceId: "acme"})
		must(t, err)
		if _, err = stream.Recv(); status.Code(err) != codes.ResourceExhausted {
			must(t, err)
			return
		}
	}
}

// drain reads until the stream ends, and deletes what it reads. It returns the last token.
func (s *tailStream) drain(want map[string]bool) (token string, err error) {
	token = s.first.GetResumeToken()
	for {
		m, err := s.Recv()
		if err != nil {
			return token, err
		}
		token = m.GetResumeToken()
		for _, row := range m.GetRequestLogs() {
			delete(want, row.GetId())
		}
	}
}

// registrar keeps the service that is registered.
type registrar struct{ logs logsv1.LogServiceServer }

// RegisterService implements grpc.ServiceRegistrar.
func (r *registrar) RegisterService(_ *grpc.ServiceDesc, service any) {
	r.logs = service.(logsv1.LogServiceServer)
}

// blockedStream is a stream whose reader does not read.
type blockedStream struct {
	grpc.ServerStreamingServer[logsv1.TailRequestLogsResponse]
	ctx  context.Context
	read chan struct{}
}

// Context implements grpc.ServerStream.
func (s *blockedStream) Context() context.Context { return s.ctx }

// Send implements grpc.ServerStreamingServer.
func (s *blockedStream) Send(*logsv1.TailRequestLogsResponse) error {
	s.read <- struct{}{}
	<-s.read
	return nil
}

// TestTailEndsWithItsTokenAlthoughItsReaderDoesNotRead: gRPC ends a Send that waits when the handler has returned.
func TestTailEndsWithItsTokenAlthoughItsReaderDoesNotRead(t *testing.T) {
	logs, registered := newTailFixture(t), &registrar{}
	grpcapi.Register(registered, logs.service)
	ctx, expire := context.WithCancelCause(t.Context())
	stream, ended := &blockedStream{ctx: ctx, read: make(chan struct{})}, make(chan error, 1)
	go func() {
		ended <- registered.logs.TailRequestLogs(&logsv1.TailRequestLogsRequest{WorkspaceId: "acme"}, stream)
	}()
	<-stream.read
	expired := errors.New("the token has expired")
	expire(expired)
	select {
	case err := <-ended:
		if !errors.Is(err, expired) {
			t.Errorf("the stream ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the stream does not end")
	}
	close(stream.read)
}
