package main

import (
	"math"
	"slices"
	"time"
)

// quantile returns the smallest duration that a share q of them does not exceed.
func quantile(took []time.Duration, q float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(took))
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// round rounds to three decimal places.
func round(f float64) float64 { return math.Round(f*1000) / 1000 }
