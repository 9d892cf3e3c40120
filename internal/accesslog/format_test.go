package accesslog

import (
	"fmt"
	"strings"
	"testing"
)

// The lines of Caddy are those of Caddy 2.6.2 with the documented configuration; those of Traefik have the fields that its
// accesslog.Handler writes.
func TestFormats(t *testing.T) {
	for name, tt := range map[string]struct {
		format    Format
		line      string
		token     string
		status    int32
		latencyMs float64
	}{
		"nginx": {Nginx, `{"report_token":"T","status":200,"request_time":0.029}`, "T", 200, 29},
		"nginx, more fields": {Nginx, `{"time":"2026-11-30T00:50:51+00:00","report_token":"T","status":499,"request_time":1.001,` +
			`"uri":"\u0000\"","args":{"status":1}}` + "\r", "T", 499, 1001},
		"Caddy, allowed": {Caddy, `{"level":"info","ts":1795999422.5,"logger":"http.log.access.log0","msg":"handled request",` +
			`"request":{"method":"GET","uri":"/ok","headers":{"X-Keytrail-Report-Token":["forged"]}},"user_id":"T",` +
			`"duration":0.003513415,"size":264,"status":200,"resp_headers":{"Server":["Caddy","x"]}}`, "T", 200, 3.513},
		"Caddy, denied": {Caddy, `{"request":{"headers":{"X-Keytrail-Report-Token":["forged"]}},"user_id":"","duration":0.003281955,` +
			`"status":403,"resp_headers":{"X-Keytrail-Report-Token":["T"],"Content-Length":["10"]}}`, "T", 403, 3.282},
		"Caddy, a caller that has gone": {Caddy, `{"user_id":"T","duration":0.999802575,"size":0,"status":0,"resp_headers":{}}`,
			"T", 499, 999.803},
		"Caddy, forged by the service": {Caddy, `{"user_id":"T","duration":1,"status":200,` +
			`"resp_headers":{"X-Keytrail-Report-Token":["F"]}}`, "T", 200, 1000},
		"Caddy 2.8, log_append": {Caddy, `{"user_id":"anna","duration":1,"status":200,"report_token":"T"}`, "T", 200, 1000},
		"Traefik, allowed": {Traefik, `{"ClientAddr":"127.0.0.1:5","DownstreamStatus":502,"Duration":1234567,"OriginStatus":200,` +
			`"request_X-Keytrail-Report-Token":"T","level":"info","time":"2026-11-30T00:00:00Z"}`, "T", 502, 1.235},
		"Traefik, denied, with a forged header": {Traefik, `{"DownstreamStatus":401,"Duration":1000000,` +
			`"request_X-Keytrail-Report-Token":"F","downstream_X-Keytrail-Report-Token":"T"}`, "T", 401, 1},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tt.format.outcome([]byte(tt.line))
			if err != nil || got.GetReportToken() != tt.token || got.GetStatus() != tt.status || got.GetLatencyMs() != tt.latencyMs {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestLinesWithoutTokenAreNoOutcomes(t *testing.T) {
	for _, format := range []Format{Nginx, Caddy, Traefik} {
		for _, line := range []string{`{}`, `{"report_token":"","user_id":""}`, `{"status":"wrong","resp_headers":{}}`[:1] + `}`} {
			if got, err := format.outcome([]byte(line)); got != nil || err != nil {
				t.Errorf("%s: %s is %v, %v", format, line, got, err)
			}
		}
	}
}

func TestMalformedLines(t *testing.T) {
	const secret = "SECRET"
	long := strings.Repeat(secret, 200)
	for line, want := range map[string]string{
		`garbage ` + secret:                                       "invalid character",
		`{"report_token":"SECRET","status":200`:                   "unexpected end",
		`{"report_token":"SECRET","stat{"report_token":"SECRET"}`: "invalid character",
		`["SECRET"]`: "cannot unmarshal array",
		`{"report_token":["SECRET"],"status":200,"request_time":1}`:        "report_token",
		`{"report_token":"SECRET","status":"SECRET","request_time":1}`:     "status is a JSON string",
		`{"report_token":"SECRET","request_time":1}`:                       "the status is missing",
		`{"report_token":"SECRET","status":200}`:                           "the latency is missing",
		`{"report_token":"SECRET","status":99,"request_time":1}`:           "the status is 99",
		`{"report_token":"SECRET","status":600,"request_time":1}`:          "the status is 600",
		`{"report_token":"SECRET","status":200,"request_time":-1}`:         "the latency is -1000 ms",
		`{"report_token":"SECRET","status":200,"request_time":86401}`:      "the latency is 8.6401e+07 ms",
		`{"report_token":"SECRET","status":200,"request_time":1e999}`:      "request_time is a JSON number 1e999",
		`{"report_token":"` + long + `","status":200,"request_time":0.01}`: "the report token has 1200 bytes",
		"\x00\x00\x00" + `{"report_token":"SECRET"}`:                       "invalid character",
	} {
		outcome, err := Nginx.outcome([]byte(line))
		if outcome != nil || !strings.Contains(fmt.Sprint(err), want) || strings.Contains(fmt.Sprint(err), secret) {
			t.Errorf("%s is %v, %v; want %q", line, outcome, err, want)
		}
	}
}
