package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func TestParseTime(t *testing.T) {
	for text, want := range map[string]time.Time{
		"2026-01-31T15:04:05Z":          time.Date(2026, 1, 31, 15, 4, 5, 0, time.UTC),
		"2026-01-31T15:04:05.123+01:00": time.Date(2026, 1, 31, 14, 4, 5, 123e6, time.UTC),
		"90m":                           noon.Add(-90 * time.Minute),
		"0s":                            noon,
		"1h30m":                         noon.Add(-90 * time.Minute),
		"-5m":                           noon.Add(5 * time.Minute),
	} {
		got, err := parseTime("--since", text, noon)
		if err != nil || !got.AsTime().Equal(want) {
			t.Errorf("parseTime(%q) = %v, %v; want %v", text, got.AsTime(), err, want)
		}
	}
	if got, err := parseTime("--since", "", noon); got != nil || err != nil {
		t.Errorf("no time is %v, %v", got, err)
	}
	for _, text := range []string{"noon", "90", "2026-01-31", "2026-01-31 15:04:05", "90m ", "yesterday"} {
		if got, err := parseTime("--until", text, noon); err == nil || !strings.HasPrefix(err.Error(), "--until: ") {
			t.Errorf("parseTime(%q) = %v, %v; want an error that names the flag", text, got, err)
		}
	}
}

func TestListRequest(t *testing.T) {
	list := logsList{
		filterFlags: filterFlags{StatusClass: "4xx", KeyID: "k", Endpoint: "/%_", ErrorCode: "expired"},
		timeFlags:   timeFlags{Since: "1h", Until: "2026-05-01T11:30:00Z"},
	}
	list.Workspace = "acme"
	got, err := list.request(noon)
	if err != nil || got.GetWorkspaceId() != "acme" || got.GetStatusClass() != "4xx" || got.GetKeyId() != "k" ||
		got.GetEndpoint() != "/%_" || got.GetErrorCode() != "expired" ||
		!got.GetStartTime().AsTime().Equal(noon.Add(-time.Hour)) || !got.GetEndTime().AsTime().Equal(noon.Add(-30*time.Minute)) {
		t.Errorf("the request is %v, %v", got, err)
	}
}

func TestTablesAreAlignedAndShowWhatIsMissing(t *testing.T) {
	var out bytes.Buffer
	err := printLogs(newLogsTable(console{out: &out}),
		&logsv1.RequestLog{Id: "1", Time: timestamppb.New(noon), KeyId: "k", KeyName: "production", KeyLast4: "abcd", Method: "GET",
			Endpoint: "/v1", Status: 403, ErrorCode: "scope_denied", LatencyMs: proto.Float64(0.25)},
		&logsv1.RequestLog{Id: "2", Time: timestamppb.New(noon), CallCount: 1},
		&logsv1.RequestLog{Id: "4", Time: timestamppb.New(noon), Status: 404, ErrorCode: "expired", Cause: "secret_rotated", LatencyMs: proto.Float64(0)},
		&logsv1.RequestLog{Id: "3", Time: timestamppb.New(noon), Status: 401, ErrorCode: "missing_token", CallCount: 57})
	want := `TIME                      KEY               METHOD  ENDPOINT  STATUS                        LATENCY   ID
2026-05-01 12:00:00.000Z  production …abcd  GET     /v1       403 scope_denied              0.250 ms  1
2026-05-01 12:00:00.000Z  -                 -       -         in progress                   -         2
2026-05-01 12:00:00.000Z  -                 -       -         404 expired (secret_rotated)  0.000 ms  4
2026-05-01 12:00:00.000Z  -                 -       -         401 missing_token ×57         -         3
`
	if err != nil || out.String() != want {
		t.Errorf("error %v, table\n%swant\n%s", err, out.String(), want)
	}
}

func TestTablesShowWhatDoesNotPrint(t *testing.T) {
	var out bytes.Buffer
	err := printKeys(console{out: &out}, &authv1.Key{Id: "1", Name: "é 世\x1b[31m\t\n\u009b\u202e'\\", AgentIds: []string{"a\u200bb"}})
	if want := `é 世\x1b[31m\t\n\u009b\u202e'\`; err != nil || !strings.Contains(out.String(), want) || !strings.Contains(out.String(), `a\u200bb`) {
		t.Errorf("error %v, table\n%q\nwant %q in it", err, out.String(), want)
	}
}

func TestStateOfAKeyInATable(t *testing.T) {
	past, ahead := timestamppb.New(time.Now().Add(-time.Minute)), timestamppb.New(time.Now().Add(time.Hour))
	for want, keys := range map[string][]*authv1.Key{
		"enabled":  {{}, {ExpireTime: ahead}},
		"expired":  {{ExpireTime: past}},
		"disabled": {{Disabled: true}, {Disabled: true, ExpireTime: past}},
	} {
		for _, key := range keys {
			if got := state(key); got != want {
				t.Errorf("the key %v is %s, want %s", key, got, want)
			}
		}
	}
}

func TestSecretAloneGoesToTheStandardOutput(t *testing.T) {
	var out, err bytes.Buffer
	if e := printSecret(console{&out, &err}, &authv1.CreateKeyResponse{Key: &authv1.Key{Name: "n", Id: "i"}, Secret: "sk_secret"}); e != nil || out.String() != "sk_secret\n" {
		t.Errorf("out %q, error %v", out.String(), e)
	}
	if strings.Contains(err.String(), "sk_secret") || !strings.Contains(err.String(), "the only time") {
		t.Errorf("err %q", err.String())
	}
}
