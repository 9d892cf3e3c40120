package cli

import (
	"cmp"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/telemetry"
	"github.com/keytrail/keytrail/logsvc"
)

// What the parts tell of themselves, as metrics. Each label has the few values that are written here.

// processMetrics are of every process.
func (s *Server) processMetrics() []prometheus.Collector {
	all := []prometheus.Collector{telemetry.Gauge("ready", "Whether the process was ready when it last looked, as /readyz says.", nil, func() float64 {
		if s.ready.Load() {
			return 1
		}
		return 0
	})}
	if c := s.entrance.certificate; c != nil {
		all = append(all, telemetry.Gauge("tls_certificate_expiry_timestamp_seconds", "When the certificate that the ports show expires.",
			nil, func() float64 { return float64(c.NotAfter().Unix()) }))
	}
	return all
}

// keyringMetrics are of what checks are decided by.
func keyringMetrics(keyring *authsvc.Keyring) []prometheus.Collector {
	gauge := func(name, help string, read func(authsvc.KeyringStats) float64) prometheus.Collector {
		return telemetry.Gauge("keyring_"+name, help, nil, func() float64 { return read(keyring.Stats()) })
	}
	return []prometheus.Collector{
		gauge("keys", "Keys in memory.", func(s authsvc.KeyringStats) float64 { return float64(s.Keys) }),
		gauge("secrets", "Secrets of keys in memory.", func(s authsvc.KeyringStats) float64 { return float64(s.Secrets) }),
		gauge("revision", "The newest change of keys that is in force.", func(s authsvc.KeyringStats) float64 { return float64(s.Revision) }),
		gauge("staleness_seconds", "How long ago the keyring last knew every key.", func(s authsvc.KeyringStats) float64 { return s.Staleness.Seconds() }),
	}
}

// checkMetrics are of what checks answered.
func checkMetrics(checker *authsvc.Checker) (all []prometheus.Collector) {
	for code := range checker.Results() {
		labels := prometheus.Labels{"result": cmp.Or(string(code), "allowed")}
		all = append(all, telemetry.Counter("checks_total", "Checks that were answered: allowed, or denied with an error code.", labels,
			func() float64 { return float64(checker.Results()[code]) }))
	}
	return all
}

// reportMetrics are of reports whose tokens were refused.
func reportMetrics(checker *authsvc.Checker) (all []prometheus.Collector) {
	for reason := range checker.RefusedReports() {
		all = append(all, telemetry.Counter("report_tokens_refused_total", "Outcomes of calls that were refused because of their report token.",
			prometheus.Labels{"reason": string(reason)}, func() float64 { return float64(checker.RefusedReports()[reason]) }))
	}
	return all
}

// refusalMetrics are of rows that the log service will never store.
func refusalMetrics(service *logsvc.Service) (all []prometheus.Collector) {
	for class := range service.Refused() {
		all = append(all, telemetry.Counter("logs_refused_rows_total", "Rows that were refused for good.",
			prometheus.Labels{"reason": class.String()}, func() float64 { return float64(service.Refused()[class]) }))
	}
	return all
}
