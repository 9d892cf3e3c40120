package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// days are the days of request logs that the store has room for.
type days struct {
	// stored answers the beginnings of the UTC days that rows can be stored of.
	stored func(context.Context) ([]time.Time, error)
	now    func() time.Time
}

// dayNames are the days that must be there, by how many days ahead they are.
var dayNames = []string{"today", "tomorrow"}

// present is the readiness of the store for the rows of today, and of tomorrow.
func (d days) present(ctx context.Context) error {
	stored, err := d.stored(ctx)
	if err != nil {
		return errors.New("the days of request logs cannot be read")
	}
	for ahead, name := range dayNames {
		if !d.has(stored, ahead) {
			return fmt.Errorf("the request logs have no partition of %s", name)
		}
	}
	return nil
}

func (d days) has(stored []time.Time, ahead int) bool {
	day := d.now().UTC().Truncate(24*time.Hour).AddDate(0, 0, ahead)
	return slices.ContainsFunc(stored, day.Equal)
}

var (
	daysStored  = prometheus.NewDesc("keytrail_logs_partitions", "Days of request logs that have a partition.", nil, nil)
	daysPresent = prometheus.NewDesc("keytrail_logs_partition_present", "Whether the day has its partition.", []string{"day"}, nil)
)

// Describe implements prometheus.Collector.
func (d days) Describe(to chan<- *prometheus.Desc) { to <- daysStored; to <- daysPresent }

// scrapeTime is how long a scrape may ask the database.
const scrapeTime = time.Second

// Collect implements prometheus.Collector. While the database is away it tells nothing: nobody knows.
func (d days) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	stored, err := d.stored(ctx)
	if err != nil {
		return
	}
	to <- prometheus.MustNewConstMetric(daysStored, prometheus.GaugeValue, float64(len(stored)))
	for ahead, name := range dayNames {
		present := 0.0
		if d.has(stored, ahead) {
			present = 1
		}
		to <- prometheus.MustNewConstMetric(daysPresent, prometheus.GaugeValue, present, name)
	}
}
