package accesslog

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

// Format names the proxy that writes an access log. Each line is a JSON object; it may have more fields than those below.
type Format string

const (
	// Nginx is what the log_format in docs/integrations/nginx.md writes: report_token, status, and request_time in seconds
	// (ngx_http_log_module).
	Nginx Format = "nginx"
	// Caddy is Caddy's own access log in JSON: status, and duration in seconds. The token is in user_id, where the configuration
	// in docs/integrations/caddy.md puts that of an allowed call, or among the headers of the response, which a denied call gets
	// from the check; or in report_token, where log_append of Caddy 2.8 can put both.
	Caddy Format = "caddy"
	// Traefik is Traefik's own access log in JSON (docs/integrations/traefik.md): DownstreamStatus, and Duration in nanoseconds. The
	// token is among the headers of the response of a denied call, and otherwise among those of the request, into which
	// ForwardAuth copies it (pkg/middlewares/accesslog/logger.go and pkg/middlewares/auth/forward.go of Traefik 3.7). This order
	// matters: a denied call still has the request headers that its caller sent.
	Traefik Format = "traefik"
)

const (
	// maxToken is the most characters of a report token, as check_service.proto says.
	maxToken = 1024
	// maxLatency is the longest latency that the auth service takes.
	maxLatency = 24 * time.Hour
	// callerGone is the status that nginx and Traefik log where the caller has closed the connection before the response. Caddy
	// logs 0.
	callerGone = 499
)

// record is one line. A nil field was missing.
type record struct {
	token    string
	status   *int32
	duration *float64
	// unit is the unit of duration.
	unit time.Duration
}

// read decodes a line.
func (f Format) read(line []byte) (record, error) {
	switch f {
	case Nginx:
		return readNginx(line)
	case Caddy:
		return readCaddy(line)
	case Traefik:
		return readTraefik(line)
	}
	return record{}, fmt.Errorf("unknown format %q", f)
}

func readNginx(line []byte) (record, error) {
	var l struct {
		ReportToken string   `json:"report_token"`
		Status      *int32   `json:"status"`
		RequestTime *float64 `json:"request_time"`
	}
	err := json.Unmarshal(line, &l)
	return record{l.ReportToken, l.Status, l.RequestTime, time.Second}, err
}

func readCaddy(line []byte) (record, error) {
	var l struct {
		ReportToken string `json:"report_token"`
		UserID      string `json:"user_id"`
		RespHeaders struct {
			ReportToken []string `json:"X-Keytrail-Report-Token"`
		} `json:"resp_headers"`
		Status   *int32   `json:"status"`
		Duration *float64 `json:"duration"`
	}
	err := json.Unmarshal(line, &l)
	tokens := append([]string{l.ReportToken, l.UserID}, l.RespHeaders.ReportToken...)
	return record{cmp.Or(tokens...), l.Status, l.Duration, time.Second}, err
}

func readTraefik(line []byte) (record, error) {
	var l struct {
		DownstreamToken string   `json:"downstream_X-Keytrail-Report-Token"`
		RequestToken    string   `json:"request_X-Keytrail-Report-Token"`
		Status          *int32   `json:"DownstreamStatus"`
		Duration        *float64 `json:"Duration"`
	}
	err := json.Unmarshal(line, &l)
	return record{cmp.Or(l.DownstreamToken, l.RequestToken), l.Status, l.Duration, time.Nanosecond}, err
}

// outcome returns what is to be reported of a line; nil if it has no report token. Its errors hold no text of the line but a
// character or a number.
func (f Format) outcome(line []byte) (*authv1.Outcome, error) {
	r, err := f.read(line)
	mismatch, wrongType := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case wrongType && mismatch.Field != "":
		return nil, fmt.Errorf("%s is a JSON %s", mismatch.Field, mismatch.Value)
	case err != nil:
		return nil, err
	case r.token == "":
		return nil, nil
	case len(r.token) > maxToken:
		return nil, fmt.Errorf("the report token has %d bytes, of at most %d", len(r.token), maxToken)
	case r.status == nil:
		return nil, errors.New("the status is missing")
	case r.duration == nil:
		return nil, errors.New("the latency is missing")
	}
	status := cmp.Or(*r.status, callerGone)
	if status < 100 || status > 599 {
		return nil, fmt.Errorf("the status is %d, not 100 to 599", status)
	}
	// Rounded to microseconds, which is what a row keeps: 0.029 s is 29 ms, not 29.000000000000004.
	latencyMs := math.Round(*r.duration*float64(r.unit)/float64(time.Microsecond)) / 1000
	if latencyMs < 0 || latencyMs > float64(maxLatency.Milliseconds()) {
		return nil, fmt.Errorf("the latency is %g ms, not 0 to %d", latencyMs, maxLatency.Milliseconds())
	}
	return &authv1.Outcome{ReportToken: r.token, Status: status, LatencyMs: &latencyMs}, nil
}
