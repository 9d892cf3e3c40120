package gateway

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

func TestBodyOfManyPartsIsNotTakenApart(t *testing.T) {
	handler, services := newGateway(t)
	for name, tt := range map[string]struct {
		path, body string
		want       error
	}{
		"of a report":      {"/v1/report", `{"outcomes":[` + strings.Repeat(`{},`, maxObjects) + `{}]}`, errObjects},
		"of unknown names": {"/v1/report", `{"outcomes":[{"entry":{"toCome":[` + strings.Repeat(`{},`, maxObjects) + `{}]}}]}`, errObjects},
		"of strings":       {"/v1/workspaces/acme/keys", `{"agentIds":[` + strings.Repeat(`"",`, maxCommas) + `"",""]}`, errValues},
	} {
		expectError(t, send(handler, "POST", tt.path, tt.body), 400, 3, tt.want.Error())
		if got := services.took(); got != nil {
			t.Errorf("%s: the service took it", name)
		}
	}
	// The largest report that the contract takes, with everything written out, of calls whose paths look like JSON.
	report := &authv1.ReportRequest{}
	for range 1000 {
		report.Outcomes = append(report.Outcomes, &authv1.Outcome{Status: 200, Entry: &logsv1.RequestLog{
			Id: keyID, WorkspaceId: "acme", Time: timestamppb.Now(), Endpoint: "/" + strings.Repeat(`{\",`, 100),
			Proof: &logsv1.RequestLog_Signature{Signature: "s"},
		}})
	}
	body, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(report)
	must(t, err)
	if answer := send(handler, "POST", "/v1/report", string(body)); answer.Code != 200 || services.took() == nil {
		t.Errorf("the largest report: %d %.300s", answer.Code, answer.Body)
	}
}

func TestObjectsAreCountedWhereverAReadEnds(t *testing.T) {
	const text = `{"a\"{":[{"b":"\\"},{}],"c":"{\\\"{"}`
	for name, reader := range map[string]io.Reader{"whole": strings.NewReader(text), "byte by byte": iotest.OneByteReader(strings.NewReader(text))} {
		f := &frugal{from: reader}
		if got, err := io.ReadAll(f); err != nil || string(got) != text || f.objects != 3 {
			t.Errorf("%s: read %q, %v, %d objects; want 3", name, got, err, f.objects)
		}
	}
}
