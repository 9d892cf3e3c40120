package trail

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/keytrail/keytrail/authsvc"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/uuid7"
)

func TestRecordIsTheRowOfTheContract(t *testing.T) {
	full := authsvc.Entry{
		ID: uuid7.New(time.Now()), WorkspaceID: "acme", KeyID: uuid.New(), KeyName: "ключ", KeyLast4: "a1B2", AgentType: "agent",
		AgentID: "support", Method: "POST", Endpoint: "/v1/%FF", Status: 599, ErrorCode: authsvc.AgentDenied,
		Latency: 12_345_678 * time.Microsecond, Repeated: 1 << 30,
	}
	for name, row := range map[string]authsvc.Entry{"full": full, "empty": {}, "in progress": {ID: full.ID, WorkspaceID: "acme", Repeated: 1}} {
		t.Run(name, func(t *testing.T) {
			want, got := row.Proto(), &logsv1.RequestLog{}
			if err := proto.Unmarshal(appendRecord(nil, &row), got); err != nil {
				t.Fatal(err)
			}
			want.Time = nil
			if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
	// A field that the contract gains must be written too.
	row := full.Proto()
	fields := row.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); f.ContainingOneof() == nil && !row.ProtoReflect().Has(f) {
			t.Errorf("this test does not fill %s", protoreflect.FullName(f.FullName()))
		}
	}
}
