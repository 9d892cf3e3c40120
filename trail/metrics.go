package trail

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count records, which are appended, and rows, which are shipped: the records of one call make one row.
type metrics struct {
	appended, rejected, uncertain, merged, shipped, deadLettered, damaged prometheus.Counter

	fsync prometheus.Histogram
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "keytrail", Subsystem: "trail", Name: name, Help: help})
	}
	return &metrics{
		appended:     counter("appended_records_total", "Records appended to the trail."),
		rejected:     counter("refused_records_total", "Records not appended to the trail because it was full, or the disk failed or stalled."),
		uncertain:    counter("uncertain_records_total", "Records that were given up while they were written or synced: the disk stalled, a sync failed, or the caller had gone. Those that are on disk are shipped."),
		merged:       counter("folded_records_total", "Records that were merged into the row of another record of the same call."),
		shipped:      counter("shipped_rows_total", "Rows that the log service has stored."),
		deadLettered: counter("dead_lettered_rows_total", "Rows that the log service refused permanently, written to the dead-letter file."),
		damaged:      counter("damaged_bytes_total", "Bytes on disk that were not a valid record."),
		fsync: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "keytrail", Subsystem: "trail", Name: "fsync_seconds", Help: "Duration of syncing the trail to disk.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
	}
}

// register registers the metrics of a trail with the limit Config.MaxBytes.
func (t *Trail) register(to prometheus.Registerer, limit int64) error {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "keytrail", Subsystem: "trail", Name: name, Help: help}, value)
	}
	m := t.metrics
	var err error
	for _, c := range []prometheus.Collector{
		m.appended, m.rejected, m.uncertain, m.merged, m.shipped, m.deadLettered, m.damaged, m.fsync,
		gauge("waiting_bytes", "Bytes on disk from the oldest record that the log service has not stored yet.", func() float64 { return float64(t.wal.BacklogBytes()) }),
		gauge("dead_letter_bytes", "Size of the dead-letter file, which counts towards the limit of the trail.", func() float64 { return float64(t.deadLetters.bytes()) }),
		gauge("limit_bytes", "Limit of the records and the dead letters together.", func() float64 { return float64(limit) }),
		gauge("stalled_seconds", "How long the disk has not responded; 0 = it responds.", func() float64 { return t.wal.Stalled().Seconds() }),
		gauge("oldest_record_age_seconds", "Age of the oldest record that the log service has not stored yet; 0 = there is none.", t.oldestAge),
	} {
		err = errors.Join(err, to.Register(c))
	}
	if err != nil {
		return fmt.Errorf("register the metrics of the trail: %w", err)
	}
	return nil
}

func (t *Trail) oldestAge() float64 {
	oldest := t.oldest.Load()
	if oldest == 0 {
		return 0
	}
	return max(0, time.Since(time.Unix(0, oldest)).Seconds())
}
