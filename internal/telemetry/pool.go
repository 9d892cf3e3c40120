package telemetry

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// Pool are the metrics of a pool of connections to Postgres. The name tells it from others of the process.
func Pool(name string, stat func() *pgxpool.Stat) []prometheus.Collector {
	labels := prometheus.Labels{"pool": name}
	gauge := func(name, help string, read func(*pgxpool.Stat) float64) prometheus.Collector {
		return Gauge("pool_"+name, help, labels, func() float64 { return read(stat()) })
	}
	counter := func(name, help string, read func(*pgxpool.Stat) float64) prometheus.Collector {
		return Counter("pool_"+name, help, labels, func() float64 { return read(stat()) })
	}
	return []prometheus.Collector{
		gauge("acquired_connections", "Connections to Postgres in use.", func(s *pgxpool.Stat) float64 { return float64(s.AcquiredConns()) }),
		gauge("idle_connections", "Connections to Postgres that wait for use.", func(s *pgxpool.Stat) float64 { return float64(s.IdleConns()) }),
		gauge("max_connections", "Connections to Postgres that there may be.", func(s *pgxpool.Stat) float64 { return float64(s.MaxConns()) }),
		counter("acquires_total", "How often a connection was taken.", func(s *pgxpool.Stat) float64 { return float64(s.AcquireCount()) }),
		counter("waited_acquires_total", "How often a connection had to be waited for.", func(s *pgxpool.Stat) float64 { return float64(s.EmptyAcquireCount()) }),
		counter("wait_seconds_total", "How long connections were waited for, in all.", func(s *pgxpool.Stat) float64 { return s.EmptyAcquireWaitTime().Seconds() }),
	}
}
