package grpcapi_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

func TestWorkspacesOfRequestLogs(t *testing.T) {
	logs := newFixture(t)
	for _, workspace := range []string{"globex", "acme", "_unattributed", "acme", "initech"} {
		e := entryAt(noon)
		e.WorkspaceID = workspace
		logs.record(t, e)
	}
	for _, tt := range []struct {
		after string
		size  int32
		want  []string
	}{
		{"", 0, []string{"_unattributed", "acme", "globex", "initech"}},
		{"", 2, []string{"_unattributed", "acme"}},
		{"acme", 2, []string{"globex", "initech"}},
		{"b", 1e9, []string{"globex", "initech"}},
		{"initech", 2, nil},
	} {
		response, err := logs.ListLogWorkspaces(t.Context(), &logsv1.ListLogWorkspacesRequest{After: tt.after, PageSize: tt.size})
		if diff := cmp.Diff(tt.want, response.GetWorkspaceIds()); diff != "" || err != nil {
			t.Errorf("%d after %q: %v (-want +got):\n%s", tt.size, tt.after, err, diff)
		}
	}
	_, err := logs.ListLogWorkspaces(t.Context(), &logsv1.ListLogWorkspacesRequest{PageSize: -1})
	expectInvalid(t, err, "page_size")
}
