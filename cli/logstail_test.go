package cli

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/grpcserver"
)

// brokenTails is a log service whose calls send the messages of one element each, and then end with its error. After the last one
// it interrupts the command.
type brokenTails struct {
	logsv1.LogServiceClient
	calls     []brokenTail
	interrupt func()
	// tokens are the resume tokens of the calls, and times when they came.
	tokens []string
	times  []time.Time
}

type brokenTail struct {
	messages []*logsv1.TailRequestLogsResponse
	err      error
}

func (b *brokenTails) TailRequestLogs(
	ctx context.Context, request *logsv1.TailRequestLogsRequest, _ ...grpc.CallOption,
) (grpc.ServerStreamingClient[logsv1.TailRequestLogsResponse], error) {
	b.tokens, b.times = append(b.tokens, request.GetResumeToken()), append(b.times, time.Now())
	if len(b.calls) == 0 {
		b.interrupt()
		return nil, ctx.Err()
	}
	call := b.calls[0]
	b.calls = b.calls[1:]
	return &brokenTailStream{brokenTail: call}, nil
}

type brokenTailStream struct {
	grpc.ClientStream
	brokenTail
}

func (s *brokenTailStream) Recv() (*logsv1.TailRequestLogsResponse, error) {
	if len(s.messages) == 0 {
		return nil, s.err
	}
	m := s.messages[0]
	s.messages = s.messages[1:]
	return m, nil
}

// runTail runs the command on calls until it is interrupted.
func runTail(t *testing.T, calls ...brokenTail) (service *brokenTails, out, said string, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		service = &brokenTails{calls: calls, interrupt: cancel}
		var printed, errs bytes.Buffer
		run := &tail{
			logs: service, request: &logsv1.TailRequestLogsRequest{WorkspaceId: "acme"}, progress: &errs,
			print: func(rows []*logsv1.RequestLog) error { return printJSONLines(&printed, rows) },
		}
		err = run.run(ctx)
		out, said = printed.String(), errs.String()
	})
	return service, out, said, err
}

func message(token string, endpoints ...string) *logsv1.TailRequestLogsResponse {
	m := &logsv1.TailRequestLogsResponse{ResumeToken: token}
	for _, e := range endpoints {
		m.RequestLogs = append(m.RequestLogs, &logsv1.RequestLog{Id: e, Endpoint: e})
	}
	return m
}

func TestTailResumesUntilItIsInterrupted(t *testing.T) {
	gone := grpcserver.Status(fault.New(fault.ServerStopping, "the server is stopping")).Err()
	slow := grpcserver.Status(fault.New(fault.TailTooSlow, "too slow")).Err()
	resumed := message("c", "/3")
	resumed.Gap = &logsv1.TailGap{StartTime: timestamppb.New(noon)}
	service, out, said, err := runTail(t,
		brokenTail{[]*logsv1.TailRequestLogsResponse{message("a"), message("b", "/1", "/2")}, gone},
		brokenTail{nil, gone}, brokenTail{nil, status.Error(codes.Canceled, "context canceled")},
		brokenTail{[]*logsv1.TailRequestLogsResponse{resumed}, slow})
	if err != nil {
		t.Errorf("interrupted, it returns %v", err)
	}
	if want := []string{"", "b", "b", "b", "c"}; !slices.Equal(service.tokens, want) {
		t.Errorf("the calls resume from %q, want %q", service.tokens, want)
	}
	for i, want := range []time.Duration{
		100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 100 * time.Millisecond,
	} {
		if got := service.times[i+1].Sub(service.times[i]); got != want {
			t.Errorf("call %d came after %v, want %v", i+1, got, want)
		}
	}
	if rows := strings.Split(strings.TrimSpace(out), "\n"); len(rows) != 3 || !strings.Contains(rows[2], `"/3"`) {
		t.Errorf("printed %q", out)
	}
	for _, text := range []string{"Waiting for request logs of acme.\n", "Interrupted (the server is stopping); resuming.\n",
		"Interrupted (too slow); resuming.\n", "Rows since 2026-05-01 12:00:00.000Z are printed again"} {
		if !strings.Contains(said, text) {
			t.Errorf("said %q, want %q", said, text)
		}
	}
}

func TestTailThatCannotGoOnReturnsItsError(t *testing.T) {
	forbidden := grpcserver.Status(fault.New(fault.WorkspaceForbidden, "not yours")).Err()
	expired := grpcserver.Status(fault.New(fault.TokenInvalid, "the token has expired")).Err()
	one := []*logsv1.TailRequestLogsResponse{message("a")}
	for name, calls := range map[string][]brokenTail{
		"it is away from the start": {{nil, grpcserver.Status(fault.New(fault.ServerStopping, "away")).Err()}},
		"too many from the start":   {{nil, grpcserver.Status(fault.New(fault.TooManyTails, "too many")).Err()}},
		"forbidden":                 {{one, forbidden}},
		"the token is not replaced": {{one, expired}, {nil, expired}},
	} {
		service, _, _, err := runTail(t, calls...)
		if last := calls[len(calls)-1].err; !errors.Is(err, last) || len(service.tokens) != len(calls) {
			t.Errorf("%s: %v after %d calls", name, err, len(service.tokens))
		}
	}
}
