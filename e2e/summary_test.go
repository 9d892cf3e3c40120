package e2e

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

func TestSummaryAndKeysOverREST(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	k := s.createKey("acme", "first name", nil)
	s.row("acme", s.check(k, &authv1.CheckRequest{Endpoint: "/v1"}).GetRequestLogId(), exists)
	s.ok("PATCH", s.keyPath("acme", k), object{"name": "second name", "disabled": true})
	id := s.check(k, &authv1.CheckRequest{Endpoint: "/v1"}).GetRequestLogId()
	last := s.row("acme", id, exists)["time"]
	s.ok("DELETE", s.keyPath("acme", k), nil)

	inProgress, disabled := object{"statusClass": "in_progress", "errorCode": "", "callCount": "1"},
		object{"statusClass": "4xx", "errorCode": "disabled", "callCount": "1"}
	for query, want := range map[string][]any{
		"":                             {inProgress, disabled},
		"key_id=" + k.id:               {inProgress, disabled},
		"status_class=in_progress":     {inProgress},
		"error_code=disabled":          {disabled},
		"method=POST&error_code=other": {},
	} {
		summary := s.ok("GET", "/v1/workspaces/acme/request-logs:summary?bucket=86400s&"+query, nil)
		if diff := cmp.Diff(want, summary["total"].(object)["counts"]); diff != "" || summary["complete"] != true {
			t.Errorf("a summary with %q is complete: %v (-want +got):\n%s", query, summary["complete"], diff)
		}
	}
	keys := s.ok("GET", "/v1/workspaces/acme/request-logs:keys", nil)["keys"].([]any)
	if len(keys) != 1 {
		t.Fatalf("the keys are %v", keys)
	}
	got := keys[0].(object)
	if got["keyId"] != k.id || got["keyName"] != "second name" || got["keyLast4"] != k.last4 || got["lastUseTime"] != last {
		t.Errorf("the key is %v, want one that was last used at %v", got, last)
	}
}
