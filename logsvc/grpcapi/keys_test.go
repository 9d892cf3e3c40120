package grpcapi_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/uuid7"
)

func TestKeysAreAsTheirNewestRowHasThem(t *testing.T) {
	logs, keys := summaryFixture(t)
	logs.record(t, entryAt(noon)) // which has no key
	resp, err := logs.ListLogKeys(t.Context(), &logsv1.ListLogKeysRequest{WorkspaceId: "acme"})
	must(t, err)
	at := func(minutes time.Duration) *timestamppb.Timestamp {
		return timestamppb.New(noon.Add(-minutes * time.Minute))
	}
	want := &logsv1.ListLogKeysResponse{Keys: []*logsv1.LogKey{
		{
			KeyId: keys[0].String(), KeyName: "name 0", KeyLast4: "abcd", FirstUseTime: at(123), LastUseTime: at(1),
			Counts: []*logsv1.SummaryCount{
				{StatusClass: "in_progress", CallCount: 1}, {StatusClass: "2xx", CallCount: 1}, {StatusClass: "3xx", CallCount: 1},
				{StatusClass: "4xx", CallCount: 8},
			},
		},
		{
			KeyId: keys[1].String(), KeyName: "name 2", KeyLast4: "abcd", FirstUseTime: at(125), LastUseTime: at(62),
			Counts: []*logsv1.SummaryCount{
				{StatusClass: "1xx", CallCount: 1}, {StatusClass: "2xx", CallCount: 2}, {StatusClass: "5xx", CallCount: 1},
			},
		},
	}}
	if diff := cmp.Diff(want, resp, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	_, err = logs.PurgeRequestLogs(t.Context(), &logsv1.PurgeRequestLogsRequest{WorkspaceId: "acme", EndTime: at(61)})
	must(t, err)
	resp, err = logs.ListLogKeys(t.Context(), &logsv1.ListLogKeysRequest{WorkspaceId: "acme"})
	must(t, err)
	if len(resp.GetKeys()) != 1 || !resp.GetKeys()[0].GetFirstUseTime().AsTime().Equal(at(2).AsTime()) {
		t.Errorf("after a purge of the older rows: %v", resp)
	}
}

// TestKeysAreListedInPages has several keys that were used last in the same millisecond.
func TestKeysAreListedInPages(t *testing.T) {
	logs := newFixture(t)
	want := map[string]time.Time{}
	for i := range 25 {
		e := entryAt(noon.Add(-time.Duration(i/4) * time.Hour))
		e.KeyID = uuid.New()
		want[e.KeyID.String()] = e.Time()
		logs.record(t, e)
	}
	for _, size := range []int32{1, 2, 7, 24, 25, 100} {
		request := &logsv1.ListLogKeysRequest{WorkspaceId: "acme", PageSize: size}
		got := map[string]time.Time{}
		last := uuid7.Time(uuid.Max)
		for more := true; more; {
			page, err := logs.ListLogKeys(t.Context(), request)
			must(t, err)
			for _, k := range page.GetKeys() {
				at := k.GetLastUseTime().AsTime()
				if _, again := got[k.GetKeyId()]; again || at.After(last) {
					t.Fatalf("with pages of %d, the key %s is listed again, or after one that was used at %v", size, k.GetKeyId(), last)
				}
				got[k.GetKeyId()], last = at, at
			}
			request.PageToken = page.GetNextPageToken()
			more = request.GetPageToken() != ""
			if n := len(page.GetKeys()); n > int(size) || more && n < int(size) {
				t.Errorf("a page of %d has %d keys", size, n)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("with pages of %d (-want +got):\n%s", size, diff)
		}
	}
}

func TestInvalidKeyRequestsNameTheField(t *testing.T) {
	logs, _ := summaryFixture(t)
	page, err := logs.ListLogKeys(t.Context(), &logsv1.ListLogKeysRequest{WorkspaceId: "acme", PageSize: 1})
	must(t, err)
	rows, err := logs.ListRequestLogs(t.Context(), &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", PageSize: 1})
	must(t, err)
	for field, requests := range map[string][]*logsv1.ListLogKeysRequest{
		"workspace_id": {{}},
		"page_size":    {{WorkspaceId: "acme", PageSize: -1}},
		"page_token": {
			{WorkspaceId: "acme", PageToken: "%%%"}, {WorkspaceId: "globex", PageToken: page.GetNextPageToken()},
			{WorkspaceId: "acme", PageToken: rows.GetNextPageToken()},
		},
	} {
		for _, request := range requests {
			_, err := logs.ListLogKeys(t.Context(), request)
			expectInvalid(t, err, field)
		}
	}
}
