package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/grpcserver"
	"github.com/keytrail/keytrail/internal/logexport"
)

// brokenExports is a log service with 10 rows, which it exports in messages of one row. Its calls end early, each as an element
// of ends says; the last of them is repeated.
type brokenExports struct {
	logsv1.LogServiceClient
	ends  []brokenExport
	calls int
}

// brokenExport is how a call ends.
type brokenExport struct {
	after int
	err   error
}

const brokenRows = 10

func (b *brokenExports) ExportRequestLogs(
	_ context.Context, request *logsv1.ExportRequestLogsRequest, _ ...grpc.CallOption,
) (grpc.ServerStreamingClient[logsv1.ExportRequestLogsResponse], error) {
	end := b.ends[min(b.calls, len(b.ends)-1)]
	b.calls++
	next := 0
	if token := request.GetResumeToken(); token != "" {
		if _, err := fmt.Sscanf(token, "after-%d", &next); err != nil {
			return nil, err
		}
	}
	return &brokenStream{next: next, brokenExport: end}, nil
}

type brokenStream struct {
	grpc.ClientStream
	brokenExport
	next int
}

func (s *brokenStream) Recv() (*logsv1.ExportRequestLogsResponse, error) {
	if s.after--; s.after < 0 {
		return nil, s.err
	}
	s.next++
	m := &logsv1.ExportRequestLogsResponse{
		RequestLogs: []*logsv1.RequestLog{{Id: fmt.Sprintf("row-%d", s.next)}}, ResumeToken: fmt.Sprintf("after-%d", s.next),
	}
	if m.Complete = s.next == brokenRows; m.GetComplete() {
		m.ResumeToken = ""
	}
	return m, nil
}

// exportFrom exports from a service, in a bubble.
func exportFrom(t *testing.T, ends ...brokenExport) (file, said string, calls int, err error) {
	t.Helper()
	service := &brokenExports{ends: ends}
	var to, messages bytes.Buffer
	e := &export{
		logs: service, request: &logsv1.ExportRequestLogsRequest{WorkspaceId: "acme"},
		writer: logexport.NewWriter(logexport.CSV), to: &to, progress: &progress{to: &messages},
	}
	err = e.run(t.Context())
	return to.String(), messages.String(), service.calls, err
}

// ids returns the ids of a file.
func ids(file string) (ids []string) {
	for line := range strings.Lines(file) {
		if id, _, _ := strings.Cut(line, ","); strings.HasPrefix(id, "row-") {
			ids = append(ids, id)
		}
	}
	return ids
}

func TestExportResumesAfterABreak(t *testing.T) {
	var all []string
	for i := range brokenRows {
		all = append(all, fmt.Sprintf("row-%d", i+1))
	}
	unavailable := status.Error(codes.Unavailable, "away")
	expired := grpcserver.Status(fault.New(fault.TokenInvalid, "the token has expired")).Err()
	for name, tt := range map[string]struct {
		ends  []brokenExport
		calls int
	}{
		"without a break":      {[]brokenExport{{after: 100}}, 1},
		"every 3 rows":         {[]brokenExport{{3, unavailable}}, 4},
		"every row":            {[]brokenExport{{1, unavailable}}, 10},
		"without an error":     {[]brokenExport{{4, io.EOF}}, 3},
		"a new token":          {[]brokenExport{{4, expired}}, 3},
		"a proxy":              {[]brokenExport{{4, status.Error(codes.Internal, "RST_STREAM")}}, 3},
		"a service that stops": {[]brokenExport{{4, status.Error(codes.Canceled, "context canceled")}}, 3},
		"down for some calls":  {[]brokenExport{{4, unavailable}, {0, unavailable}, {0, unavailable}, {100, nil}}, 4},
		"a store that restarts": {[]brokenExport{
			{4, grpcserver.Status(fault.New(fault.StoreUnavailable, "restarts")).Err()}, {100, nil},
		}, 2},
		"a store that is slow": {[]brokenExport{{4, grpcserver.Status(fault.New(fault.StoreLate, "late")).Err()}, {100, nil}}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				file, said, calls, err := exportFrom(t, tt.ends...)
				if err != nil || !slices.Equal(ids(file), all) || calls != tt.calls || !strings.HasSuffix(file, "\n# rows=10\n") ||
					strings.Count(file, "workspace_id") != 1 || strings.Count(said, "resuming") != calls-1 {
					t.Errorf("%d calls, error %v, said %s\n%s", calls, err, said, file)
				}
			})
		})
	}
}

func TestExportThatFailsIsNotComplete(t *testing.T) {
	unavailable := status.Error(codes.Unavailable, "away")
	invalid := grpcserver.Status(fault.New(fault.TokenInvalid, "the token has expired")).Err()
	damaged := grpcserver.Status(fault.New(fault.InternalError, "internal error")).Err()
	for name, tt := range map[string]struct {
		ends        []brokenExport
		calls, rows int
		code        codes.Code
	}{
		"not to be reached":      {[]brokenExport{{0, unavailable}}, 1, 0, codes.Unavailable},
		"a wrong token":          {[]brokenExport{{0, invalid}}, 1, 0, codes.Unauthenticated},
		"a token that expired":   {[]brokenExport{{4, invalid}, {0, invalid}}, 2, 4, codes.Unauthenticated},
		"an error in the middle": {[]brokenExport{{4, damaged}}, 1, 4, codes.Internal},
		"away for long":          {[]brokenExport{{4, unavailable}, {0, unavailable}}, 30, 4, codes.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				file, _, calls, err := exportFrom(t, tt.ends...)
				if status.Code(err) != tt.code || calls != tt.calls || len(ids(file)) != tt.rows || strings.Contains(file, "# rows") {
					t.Errorf("%d calls, error %v\n%s", calls, err, file)
				}
				if begun := tt.rows > 0; begun != strings.HasSuffix(file, "\n# resume_token=after-4\n") ||
					begun != strings.Contains(err.Error(), "not complete; it has ended after 4 rows") || !begun && file != "" {
					t.Errorf("error %v\n%s", err, file)
				}
			})
		})
	}
}

func TestProgressIsForTerminals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for live, want := range map[bool]string{
			true: "\r1 rows, back to -\r30000 rows, back to -\nline\n\r4 rows, back to -\n", false: "line\n",
		} {
			var said bytes.Buffer
			p := &progress{to: &said, live: live}
			m := &logsv1.ExportRequestLogsResponse{RequestLogs: []*logsv1.RequestLog{{}}}
			for _, rows := range []int64{1, 2, 30000} {
				if p.message(m, rows); rows > 1 {
					<-time.After(progressInterval)
				}
			}
			p.line("line")
			<-time.After(progressInterval)
			p.message(m, 4)
			p.end()
			if said.String() != want {
				t.Errorf("on a terminal %t: %q, want %q", live, said.String(), want)
			}
		}
	})
}

func TestFileHasItsNameOnceItIsComplete(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.csv")
	broken := errors.New("broken")
	for i, failure := range []error{broken, nil, broken} {
		err := writeFile(path, func(w io.Writer) error {
			_, err := fmt.Fprint(w, "text ", i)
			return errors.Join(err, failure)
		})
		if !errors.Is(err, failure) {
			t.Errorf("writeFile: %v, want %v", err, failure)
		}
		whole, _ := os.ReadFile(path)
		partial, _ := os.ReadFile(path + ".partial")
		want := [3]struct{ whole, partial string }{{"", "text 0"}, {"text 1", ""}, {"text 1", "text 2"}}[i]
		if string(whole) != want.whole || string(partial) != want.partial {
			t.Errorf("after %v the file is %q, and the partial one %q", failure, whole, partial)
		}
	}
	if err := writeFile(path+"2", func(io.Writer) error { return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	if _, err := os.Stat(path + "2.partial"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty file is left: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}
