package main

import (
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
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

// renew returns an id with the current time.
func renew(id uuid.UUID) uuid.UUID {
	now := uuid7.First(time.Now())
	copy(id[:6], now[:6])
	return id
}

// round rounds to three decimal places.
func round(f float64) float64 { return math.Round(f*1000) / 1000 }
