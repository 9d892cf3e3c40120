package trail

import (
	"math"
	"syscall"
)

// diskBytes is how large the disk of a folder is; where nobody can tell, very large.
func diskBytes(dir string) int64 {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return math.MaxInt64
	}
	return int64(disk.Blocks) * int64(disk.Bsize)
}
