package envoy_test

import (
	"context"
	"errors"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	dataaccesslogv3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/access"
)

// token checks a call and returns its report token.
func (f *fixture) token(t *testing.T) string {
	t.Helper()
	response, err := f.authorization.Check(f.as(t, access.Checker, access.AllWorkspaces), request("/v1/agents/a1", inAcme, nil))
	must(t, err)
	token := response.GetDynamicMetadata().GetFields()["report_token"].GetStringValue()
	if token == "" {
		t.Fatalf("no report token in %v", response)
	}
	return token
}

// entry returns the entry that Envoy writes at the end of a request.
func entry(token string, httpStatus uint32, duration time.Duration) *dataaccesslogv3.HTTPAccessLogEntry {
	return &dataaccesslogv3.HTTPAccessLogEntry{
		CommonProperties: &dataaccesslogv3.AccessLogCommon{
			Duration: durationpb.New(duration), AccessLogType: dataaccesslogv3.AccessLogType_DownstreamEnd,
			Metadata: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
				"envoy.filters.http.ext_authz": {Fields: map[string]*structpb.Value{
					"report_token": structpb.NewStringValue(token), "ext_authz_duration": structpb.NewNumberValue(1),
				}},
			}},
		},
		Response: &dataaccesslogv3.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(httpStatus)},
	}
}

func entries(all ...*dataaccesslogv3.HTTPAccessLogEntry) *accesslogv3.StreamAccessLogsMessage {
	return &accesslogv3.StreamAccessLogsMessage{LogEntries: &accesslogv3.StreamAccessLogsMessage_HttpLogs{
		HttpLogs: &accesslogv3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: all},
	}}
}

type stream = accesslogv3.AccessLogService_StreamAccessLogsClient

// open opens a stream as an Envoy with a token for some workspaces.
func (f *fixture) open(t *testing.T, workspaces ...string) stream {
	t.Helper()
	s, err := accesslogv3.NewAccessLogServiceClient(f.conn).StreamAccessLogs(f.as(t, access.Checker, workspaces...))
	must(t, err)
	return s
}

// send sends messages on a stream and ends it.
func send(t *testing.T, s stream, messages ...*accesslogv3.StreamAccessLogsMessage) {
	t.Helper()
	for _, message := range messages {
		must(t, s.Send(message))
	}
	_, err := s.CloseAndRecv()
	must(t, err)
}

func TestEntriesBecomeReports(t *testing.T) {
	f := newFixture(t)
	change := func(change func(*dataaccesslogv3.HTTPAccessLogEntry)) *dataaccesslogv3.HTTPAccessLogEntry {
		e := entry(f.token(t), 200, 5*time.Millisecond)
		change(e)
		return e
	}
	for name, tt := range map[string]struct {
		entry   *dataaccesslogv3.HTTPAccessLogEntry
		status  int // 0 = it is skipped
		latency time.Duration
	}{
		"a response":               {entry(f.token(t), 201, 12345678*time.Nanosecond), 201, 12346 * time.Microsecond},
		"a failed service":         {entry(f.token(t), 503, 2*time.Second), 503, 2 * time.Second},
		"a caller that was gone":   {entry(f.token(t), 0, time.Second), 499, time.Second},
		"one gone after 100":       {entry(f.token(t), 100, time.Second), 499, time.Second},
		"an upgrade":               {entry(f.token(t), 101, time.Second), 101, time.Second},
		"a denied gRPC call":       {change(deny(401)), 401, 5 * time.Millisecond},
		"a denial that is changed": {change(func(e *dataaccesslogv3.HTTPAccessLogEntry) { deny(401)(e); e.Response.ResponseCode.Value = 404 }), 404, 5 * time.Millisecond},
		"no status at all":         {change(func(e *dataaccesslogv3.HTTPAccessLogEntry) { e.Response = nil }), 499, 5 * time.Millisecond},
		"a status above HTTP's":    {entry(f.token(t), 999, time.Second), 599, time.Second},
		"a clock that went back":   {entry(f.token(t), 200, -time.Second), 200, 0},
		"a call of two days":       {entry(f.token(t), 200, 48*time.Hour), 200, 24 * time.Hour},
		"a type that is not set":   {change(setType(dataaccesslogv3.AccessLogType_NotSet)), 200, 5 * time.Millisecond},
		"the start of a request":   {change(setType(dataaccesslogv3.AccessLogType_DownstreamStart)), 0, 0},
		"a request that runs":      {change(setType(dataaccesslogv3.AccessLogType_DownstreamPeriodic)), 0, 0},
		"an attempt at a service":  {change(setType(dataaccesslogv3.AccessLogType_UpstreamEnd)), 0, 0},
		"an entry without a token": {entry("", 200, time.Second), 0, 0},
		"no metadata": {change(func(e *dataaccesslogv3.HTTPAccessLogEntry) {
			e.CommonProperties.Metadata = nil
		}), 0, 0},
		"a request that runs, of an old release": {change(func(e *dataaccesslogv3.HTTPAccessLogEntry) {
			e.CommonProperties.AccessLogType = dataaccesslogv3.AccessLogType_NotSet
			//lint:ignore SA1019 as old releases do
			e.CommonProperties.IntermediateLogEntry = true
		}), 0, 0},
		"no properties": {&dataaccesslogv3.HTTPAccessLogEntry{}, 0, 0},
	} {
		before, _ := f.reported()
		send(t, f.open(t, access.AllWorkspaces), entries(tt.entry))
		rows, _ := f.reported()
		if rows = rows[len(before):]; tt.status == 0 {
			if len(rows) > 0 {
				t.Errorf("%s: the rows are %+v, want none", name, rows)
			}
			continue
		}
		if len(rows) != 1 || rows[0].Status != tt.status || rows[0].Latency != tt.latency {
			t.Errorf("%s: the rows are %+v, want %d after %v", name, rows, tt.status, tt.latency)
		}
	}
}

func setType(kind dataaccesslogv3.AccessLogType) func(*dataaccesslogv3.HTTPAccessLogEntry) {
	return func(e *dataaccesslogv3.HTTPAccessLogEntry) { e.CommonProperties.AccessLogType = kind }
}

// deny makes an entry that of a denied call.
func deny(status float64) func(*dataaccesslogv3.HTTPAccessLogEntry) {
	return func(e *dataaccesslogv3.HTTPAccessLogEntry) {
		e.CommonProperties.Metadata.FilterMetadata["envoy.filters.http.ext_authz"].Fields["denied_status"] = structpb.NewNumberValue(status)
	}
}

// TestFirstMessages: the first message of a stream has the identifier, alone or with entries.
func TestFirstMessages(t *testing.T) {
	f := newFixture(t)
	identifier := &accesslogv3.StreamAccessLogsMessage_Identifier{Node: &corev3.Node{Id: "n"}, LogName: "keytrail"}
	both := entries(entry(f.token(t), 200, 0))
	both.Identifier = identifier
	tcp := &accesslogv3.StreamAccessLogsMessage{LogEntries: &accesslogv3.StreamAccessLogsMessage_TcpLogs{
		TcpLogs: &accesslogv3.StreamAccessLogsMessage_TCPAccessLogEntries{LogEntry: []*dataaccesslogv3.TCPAccessLogEntry{{}}},
	}}
	send(t, f.open(t, access.AllWorkspaces), &accesslogv3.StreamAccessLogsMessage{Identifier: identifier}, tcp, entries(entry(f.token(t), 200, 0)))
	send(t, f.open(t, access.AllWorkspaces), both)
	send(t, f.open(t, access.AllWorkspaces))
	if rows, _ := f.reported(); len(rows) != 2 {
		t.Errorf("%d rows, want 2", len(rows))
	}
}

func TestLargeMessagesAreSplit(t *testing.T) {
	f := newFixture(t)
	token := f.token(t)
	var all []*dataaccesslogv3.HTTPAccessLogEntry
	for range 2001 {
		all = append(all, entry(token, 200, time.Second))
	}
	_, before := f.reported()
	send(t, f.open(t, access.AllWorkspaces), entries(all...))
	if rows, attempts := f.reported(); len(rows) != 2001 || attempts-before != 3 {
		t.Errorf("%d rows in %d batches, want 2001 in 3", len(rows), attempts-before)
	}
}

// TestRefusedTokensAreCountedAndLoggedOnce: the other entries of a message are taken.
func TestRefusedTokensAreCountedAndLoggedOnce(t *testing.T) {
	f := newFixture(t)
	good := f.token(t)
	message := entries(entry("forged", 200, 0), entry(good, 200, 0), entry("forged", 200, 0))
	send(t, f.open(t, "acme"), message, message)
	send(t, f.open(t, "globex"), entries(entry(good, 200, 0)))
	if rows, _ := f.reported(); len(rows) != 2 {
		t.Errorf("%d rows, want 2", len(rows))
	}
	refused := f.checker.RefusedReports()
	if refused[authsvc.InvalidReport] != 4 || refused[authsvc.ForeignReport] != 1 {
		t.Errorf("counted %v", refused)
	}
	logged := f.logged.Records(t)
	if len(logged) != 1 || logged[0]["entries"] != 2.0 || logged[0]["reason"] != "invalid" {
		t.Errorf("logged %v, want one record", logged)
	}
}

func TestAStreamWaitsForTheTrail(t *testing.T) {
	f := newFixture(t)
	message := entries(entry(f.token(t), 200, time.Second))
	_, before := f.reported()
	f.setRefuse(errFull)
	f.steps = newSteps()
	s := f.open(t, access.AllWorkspaces)
	must(t, s.Send(message))
	for range 3 {
		<-f.steps.begin
		f.steps.finish()
	}
	<-f.steps.begin
	f.setRefuse(nil)
	f.steps.finish()
	send(t, s)
	if rows, attempts := f.reported(); len(rows) != 1 || attempts-before != 4 {
		t.Errorf("%d rows after %d attempts, want 1 after 4", len(rows), attempts-before)
	}
	if logged := f.logged.Records(t); len(logged) != 1 {
		t.Errorf("logged %v, want one record", logged)
	}
}

// TestWhatHasArrivedIsRecordedWhenAStreamEnds ends a stream while its entries are being recorded: Envoy does not send them again.
func TestWhatHasArrivedIsRecordedWhenAStreamEnds(t *testing.T) {
	for name, end := range map[string]func(*fixture, context.CancelFunc){
		"the server stops": func(f *fixture, _ context.CancelFunc) { f.stop() },
		"Envoy is gone":    func(_ *fixture, cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			var all []*dataaccesslogv3.HTTPAccessLogEntry
			for range 1001 { // two batches
				all = append(all, entry(f.token(t), 200, time.Second))
			}
			ctx, cancel := context.WithCancel(f.as(t, access.Checker, access.AllWorkspaces))
			defer cancel()
			s, err := accesslogv3.NewAccessLogServiceClient(f.conn).StreamAccessLogs(ctx)
			must(t, err)
			f.steps = newSteps()
			must(t, s.Send(entries(all...)))
			<-f.steps.begin
			end(f, cancel)
			<-(<-f.streams).Done()
			f.steps.finish()
			<-f.steps.begin
			f.steps.finish()
			if rows, _ := f.reported(); len(rows) != 1001 {
				t.Errorf("%d rows, want 1001", len(rows))
			}
		})
	}
}

// TestAnUnexpectedErrorEndsAStream: only a trail that refuses rows is tried again.
func TestAnUnexpectedErrorEndsAStream(t *testing.T) {
	f := newFixture(t)
	message := entries(entry(f.token(t), 200, time.Second))
	f.setRefuse(errors.New("broken"))
	s := f.open(t, access.AllWorkspaces)
	must(t, s.Send(message))
	if err := s.RecvMsg(nil); status.Code(err) != codes.Internal {
		t.Errorf("ended with %v", err)
	}
}
