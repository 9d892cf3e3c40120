package grpcapi_test

import (
	"cmp"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/logsvc"
)

// exported is what an export has returned.
type exported struct {
	ids   []string
	token string
	whole bool
}

// export reads up to a number of messages of an export; 0 = all.
func export(t *testing.T, logs logsv1.LogServiceClient, request *logsv1.ExportRequestLogsRequest, messages int) (e exported) {
	t.Helper()
	stream, err := logs.ExportRequestLogs(t.Context(), request)
	must(t, err)
	for n := 1; ; n++ {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return e
		}
		must(t, err)
		if e.whole {
			t.Error("a message after the last one")
		}
		for _, row := range m.GetRequestLogs() {
			e.ids = append(e.ids, row.GetId())
		}
		if size := proto.Size(m); size > 300<<10 || len(m.GetRequestLogs()) > 1000 {
			t.Errorf("a message has %d rows and %d bytes", len(m.GetRequestLogs()), size)
		}
		if int(m.GetRowCount()) != len(e.ids) || (m.GetResumeToken() == "") != m.GetComplete() {
			t.Errorf("after %d rows: %d rows, complete %t, token %q", len(e.ids), m.GetRowCount(), m.GetComplete(), m.GetResumeToken())
		}
		if e.token, e.whole = m.GetResumeToken(), m.GetComplete(); n == messages {
			return e
		}
	}
}

// exportFixture has 2,500 rows, of which some are long, and every second one is denied.
func exportFixture(t *testing.T) (f *fixture, ids []string) {
	f = newFixture(t)
	var entries []logsvc.Entry
	for i := range 2500 {
		e := entryAt(noon.Add(-time.Duration(i/3) * time.Millisecond))
		if i%2 == 0 {
			e.Status, e.ErrorCode = 403, "scope_denied"
		}
		if i > 1500 {
			e.Endpoint = strings.Repeat("é", 1000)
		}
		entries = append(entries, e)
		ids = append(ids, e.ID.String())
	}
	f.record(t, entries...)
	slices.Sort(ids)
	slices.Reverse(ids)
	return f, ids
}

func TestExportResumesAfterAnyMessage(t *testing.T) {
	logs, ids := exportFixture(t)
	for _, messages := range []int{0, 1, 2, 3, 5} {
		request := &logsv1.ExportRequestLogsRequest{WorkspaceId: "acme"}
		var got []string
		for part := (exported{}); !part.whole; request.ResumeToken = part.token {
			part = export(t, logs, request, messages)
			got = append(got, part.ids...)
			logs.record(t, entryAt(noon.Add(time.Second)))
		}
		got = slices.DeleteFunc(got, func(id string) bool { return id > ids[0] }) // those that came later
		if !slices.Equal(got, ids) {
			t.Errorf("resumed after every %d messages: %d rows, want %d", messages, len(got), len(ids))
		}
	}
}

func TestExportIsFiltered(t *testing.T) {
	logs, ids := exportFixture(t)
	denied := export(t, logs, &logsv1.ExportRequestLogsRequest{WorkspaceId: "acme", StatusClass: "4xx"}, 0)
	early := export(t, logs, &logsv1.ExportRequestLogsRequest{
		WorkspaceId: "acme", StartTime: timestamppb.New(noon.Add(-time.Millisecond)), EndTime: timestamppb.New(noon),
	}, 0)
	other := export(t, logs, &logsv1.ExportRequestLogsRequest{WorkspaceId: "globex"}, 0)
	if len(denied.ids) != len(ids)/2 || len(early.ids) != 3 || len(other.ids) != 0 || !other.whole {
		t.Errorf("%d denied, %d of a millisecond, %d of another workspace", len(denied.ids), len(early.ids), len(other.ids))
	}
}

func TestInvalidExportsNameTheField(t *testing.T) {
	logs, _ := exportFixture(t)
	token := export(t, logs, &logsv1.ExportRequestLogsRequest{WorkspaceId: "acme", StatusClass: "2xx"}, 1).token
	page, err := logs.ListRequestLogs(t.Context(), &logsv1.ListRequestLogsRequest{WorkspaceId: "acme"})
	must(t, err)
	for name, tt := range map[string]struct {
		field   string
		request *logsv1.ExportRequestLogsRequest
	}{
		"another filter": {"resume_token", &logsv1.ExportRequestLogsRequest{ResumeToken: token}},
		"another workspace": {"resume_token", &logsv1.ExportRequestLogsRequest{
			WorkspaceId: "globex", StatusClass: "2xx", ResumeToken: token,
		}},
		"another end": {"resume_token", &logsv1.ExportRequestLogsRequest{
			StatusClass: "2xx", ResumeToken: token, EndTime: timestamppb.New(noon),
		}},
		"the token of a list": {"resume_token", &logsv1.ExportRequestLogsRequest{ResumeToken: page.GetNextPageToken()}},
		"no token":            {"resume_token", &logsv1.ExportRequestLogsRequest{ResumeToken: "%"}},
		"a form":              {"format", &logsv1.ExportRequestLogsRequest{Format: "xml"}},
		"NUL":                 {"method", &logsv1.ExportRequestLogsRequest{Method: "a\x00"}},
		"end before start": {"end_time", &logsv1.ExportRequestLogsRequest{
			StartTime: timestamppb.New(noon), EndTime: timestamppb.New(noon),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.request.WorkspaceId = cmp.Or(tt.request.GetWorkspaceId(), "acme")
			stream, err := logs.ExportRequestLogs(t.Context(), tt.request)
			must(t, err)
			_, err = stream.Recv()
			expectInvalid(t, err, tt.field)
		})
	}
}
