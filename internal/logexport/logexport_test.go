package logexport

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 7_000_000, time.UTC)

// hostile are texts that a format could break, or a spreadsheet could run.
var hostile = []string{
	"", "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠1",
	"'", "'=1", "''", `"`, `","`, "a,b", "a;=1", "a\nb",
	"# rows=1", "\n# rows=1\n", `{"row_count":1,"complete":true}`, "<script>", "\u202egnp.exe", "é😀", " a ", `\.`, "null", "1e5",
}

// rows returns a row for each hostile text, in every field that takes any text.
func rows() (rows []*logsv1.RequestLog) {
	for i, text := range hostile {
		row := &logsv1.RequestLog{
			Id: "01890a5d-ac96-774b-bcce-b302099a8057", Time: timestamppb.New(noon), WorkspaceId: "acme", KeyId: "k",
			KeyName: text, KeyLast4: text, ExternalId: text, AgentType: "data_agent", AgentId: text, Method: text, Endpoint: text,
			Status: 403, ErrorCode: "scope_denied", Cause: "no_scope", CallCount: 1,
		}
		if i%2 == 0 {
			row.LatencyMs = new(0.001 * float64(i))
		}
		rows = append(rows, row)
	}
	return rows
}

// write returns a file of two parts.
func write(format string) string {
	var to bytes.Buffer
	w, all := NewWriter(format), rows()
	w.Part(&to, &logsv1.ExportRequestLogsResponse{RequestLogs: all[:3]})
	w.Part(&to, &logsv1.ExportRequestLogsResponse{RequestLogs: all[3:]})
	w.End(&to, int64(len(all)))
	return to.String()
}

func TestRowsOfNDJSONAreThoseOfREST(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(write(NDJSON), "\n"), "\n")
	all := rows()
	if len(lines) != len(all)+1 {
		t.Fatalf("%d lines of %d rows", len(lines), len(all))
	}
	for i, want := range all {
		got := &logsv1.RequestLog{}
		if err := protojson.Unmarshal([]byte(lines[i]), got); err != nil || !proto.Equal(got, want) {
			t.Errorf("the line %s: %v, want %v", lines[i], err, want)
		}
		if !strings.Contains(lines[i], `"errorCode"`) {
			t.Errorf("the line %s has other names than REST", lines[i])
		}
	}
	if got, want := lines[len(all)], `{"row_count":30,"complete":true}`; got != want {
		t.Errorf("the last line is %s, want %s", got, want)
	}
}

func TestCSVHasEveryFieldAndNoFormula(t *testing.T) {
	text := write(CSV)
	if !strings.HasSuffix(text, "\n# rows=30\n") {
		t.Errorf("the end is %q", text[len(text)-20:])
	}
	reader := csv.NewReader(strings.NewReader(text))
	reader.Comment = '#'
	records, err := reader.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var fields []string
	for i := range (&logsv1.RequestLog{}).ProtoReflect().Descriptor().Fields().Len() {
		fields = append(fields, string((&logsv1.RequestLog{}).ProtoReflect().Descriptor().Fields().Get(i).Name()))
	}
	if !slices.Equal(records[0], fields) || len(records) != len(hostile)+1 {
		t.Fatalf("%d records; the header is %v, want %v", len(records), records[0], fields)
	}
	if got := records[1][:4]; got[1] != "2026-05-01T12:00:00.007Z" || records[1][14] != "0" || records[2][14] != "" {
		t.Errorf("the first records are %v, %v", records[1], records[2])
	}
	for i, want := range hostile {
		for _, column := range []int{4, 5, 6, 8, 9, 10} {
			cell := records[i+1][column]
			if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r\n") {
				t.Errorf("the cell %q is a formula", cell)
			}
			if got := strings.TrimPrefix(cell, "'"); got != want {
				t.Errorf("the cell %q is %q without its escape, want %q", cell, got, want)
			}
		}
	}
}

func TestFileThatIsNotWholeSaysSo(t *testing.T) {
	st := status.New(codes.Unavailable, "line 1\nline 2").Proto()
	part := &logsv1.ExportRequestLogsResponse{UnreadableRanges: []*logsv1.TimeRange{{
		StartTime: timestamppb.New(noon), EndTime: timestamppb.New(noon.Add(time.Second)),
	}}}
	for format, want := range map[string]string{
		NDJSON: `{"unreadable_range":{"startTime":"2026-05-01T12:00:00.007Z","endTime":"2026-05-01T12:00:01.007Z"}}
{"error":{"code":14,"message":"line 1\nline 2","details":[]},"resume_token":"abc"}
`,
		CSV: strings.Join(columns, ",") + `
# unreadable=2026-05-01T12:00:00.007Z/2026-05-01T12:00:01.007Z
# error={"code":14,"message":"line 1\nline 2","details":[]}
# resume_token=abc
`,
	} {
		var to bytes.Buffer
		w := NewWriter(format)
		w.Part(&to, part)
		w.Fail(&to, st, "abc")
		if got := strings.ReplaceAll(to.String(), `, "`, `,"`); got != want { // protojson writes spaces or none
			t.Errorf("%s: got\n%s\nwant\n%s", format, got, want)
		}
	}
}

func TestFileNameHasTheWorkspaceAndTheTime(t *testing.T) {
	for format, want := range map[string]string{"": "ndjson", NDJSON: "ndjson", CSV: "csv"} {
		if got := FileName("acme", noon, format); got != "request-logs-acme-20260501T120000Z."+want {
			t.Errorf("%q: %s", format, got)
		}
	}
}
