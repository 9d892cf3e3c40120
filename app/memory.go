package app

import (
	"errors"
	"log/slog"
	"math"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// memoryShare is the share of the container's limit that the Go runtime may use. The rest is for what it does not count, e.g.
// pages of the binary and buffers of the kernel.
const memoryShare = 0.9

// LimitMemory sets the memory limit of the Go runtime to 90 % of that of the container (cgroup), unless GOMEMLIMIT is set, and
// logs the result. Without it the heap may grow to twice what is in use, and the kernel kills the process. The limit is that
// of the whole process: call it once, at the start.
func LimitMemory(log *slog.Logger) { limitMemory(log, memlimit.FromCgroup) }

func limitMemory(log *slog.Logger, container memlimit.Provider) {
	limit, err := memlimit.Set(memlimit.WithRatio(memoryShare), memlimit.WithProvider(container))
	switch {
	case errors.Is(err, memlimit.ErrNoCgroup) || errors.Is(err, memlimit.ErrCgroupsNotSupported):
		log.Info("memory is not limited: this is no container")
	case err != nil:
		log.Warn("the memory limit of the container cannot be read; set GOMEMLIMIT if it has one", "error", err)
	case limit == math.MaxInt64:
		log.Info("memory is not limited")
	default:
		log.Info("memory is limited", "bytes", limit)
	}
}
