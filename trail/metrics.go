package trail

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count what happens on the trail. Records are what is appended, rows what is shipped: the records of one call
// make one row.
type metrics struct {
	appended, refused, folded, shipped, deadLettered prometheus.Counter
	damaged                                          prometheus.Counter
	fsync                                            prometheus.Histogram
	// oldest is when the oldest record that waits was appended, Unix time in ns; 0 = none waits.
	oldest atomic.Int64
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "keytrail", Subsystem: "trail", Name: name, Help: help})
	}
	return &metrics{
		appended:     counter("appended_records_total", "Records taken onto the trail."),
		refused:      counter("refused_records_total", "Records that the trail did not take: it was full, or the disk failed. After a failed sync some of them may be on the disk, and be shipped all the same."),
		folded:       counter("folded_records_total", "Records that were sent as one row with another of the same call."),
		shipped:      counter("shipped_rows_total", "Rows that the log service has stored."),
		deadLettered: counter("dead_lettered_rows_total", "Rows that the log service refused for good, set aside in the dead-letter file."),
		damaged:      counter("damaged_bytes_total", "Bytes on disk that were no good record."),
		fsync: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "keytrail", Subsystem: "trail", Name: "fsync_seconds", Help: "How long syncing the trail to the disk took.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
	}
}

// inherit makes metrics of a trail that another replica has left: what happens there counts here, but for the age.
func (m *metrics) inherit() *metrics {
	return &metrics{
		appended: m.appended, refused: m.refused, folded: m.folded, shipped: m.shipped, deadLettered: m.deadLettered,
		damaged: m.damaged, fsync: m.fsync,
	}
}

// register registers all metrics; limit is Config.MaxBytes, waiting tells how many bytes wait, dead how many are set aside.
func (m *metrics) register(to prometheus.Registerer, limit int64, waiting, dead func() int64) error {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "keytrail", Subsystem: "trail", Name: name, Help: help}, value)
	}
	var err error
	for _, c := range []prometheus.Collector{
		m.appended, m.refused, m.folded, m.shipped, m.deadLettered, m.damaged, m.fsync,
		gauge("waiting_bytes", "Bytes of records on disk from the oldest on that the log service has not stored yet.", func() float64 { return float64(waiting()) }),
		gauge("dead_letter_bytes", "Bytes of the dead-letter file, which count towards the limit of the trail.", func() float64 { return float64(dead()) }),
		gauge("limit_bytes", "How many bytes of rows that wait and of dead letters there is room for.", func() float64 { return float64(limit) }),
		gauge("oldest_record_age_seconds", "Age of the oldest record that the log service has not stored yet; 0 = none waits.", m.age),
	} {
		err = errors.Join(err, to.Register(c))
	}
	if err != nil {
		return fmt.Errorf("register the metrics of the trail: %w", err)
	}
	return nil
}

func (m *metrics) age() float64 {
	oldest := m.oldest.Load()
	if oldest == 0 {
		return 0
	}
	return max(0, time.Since(time.Unix(0, oldest)).Seconds())
}
