package trail

import (
	"math"
	"syscall"
)

// diskBytes returns the size of the file system of a directory, or a very large number if it is unknown.
func diskBytes(dir string) int64 {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return math.MaxInt64
	}
	return int64(disk.Blocks) * int64(disk.Bsize)
}
