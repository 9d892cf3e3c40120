package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// partitions reports which days have a partition for request logs: as a readiness check and as metrics.
type partitions struct {
	// list returns the beginnings of the UTC days that have a partition.
	list func(context.Context) ([]time.Time, error)
	now  func() time.Time
}

// requiredDays are the days that must have a partition, by how many days ahead they are.
var requiredDays = []string{"today", "tomorrow"}

// check is the readiness check.
func (p partitions) check(ctx context.Context) error {
	days, err := p.list(ctx)
	if err != nil {
		return errors.New("the partitions of request logs cannot be read")
	}
	for ahead, name := range requiredDays {
		if !p.contains(days, ahead) {
			return fmt.Errorf("the request logs have no partition of %s", name)
		}
	}
	return nil
}

func (p partitions) contains(days []time.Time, ahead int) bool {
	day := p.now().UTC().Truncate(24*time.Hour).AddDate(0, 0, ahead)
	return slices.ContainsFunc(days, day.Equal)
}

var (
	partitionCount   = prometheus.NewDesc("keytrail_logs_partitions", "Days of request logs that have a partition.", nil, nil)
	partitionPresent = prometheus.NewDesc("keytrail_logs_partition_present", "Whether the day has its partition.", []string{"day"}, nil)
)

// Describe implements prometheus.Collector.
func (p partitions) Describe(to chan<- *prometheus.Desc) {
	to <- partitionCount
	to <- partitionPresent
}

// scrapeTimeout limits the query of a scrape.
const scrapeTimeout = time.Second

// Collect implements prometheus.Collector. It collects nothing while the database is unavailable, because the state is
// unknown then.
func (p partitions) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	days, err := p.list(ctx)
	if err != nil {
		return
	}
	to <- prometheus.MustNewConstMetric(partitionCount, prometheus.GaugeValue, float64(len(days)))
	for ahead, name := range requiredDays {
		present := 0.0
		if p.contains(days, ahead) {
			present = 1
		}
		to <- prometheus.MustNewConstMetric(partitionPresent, prometheus.GaugeValue, present, name)
	}
}
