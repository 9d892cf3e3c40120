package pgserver

import (
	"os"
	"syscall"
)

// memory is a file system without a disk, and room is what must be free on it: containers often have 64 MB there.
const (
	memory = "/dev/shm"
	room   = 2 << 30
)

// quickPlace is where a server that need not be durable is made. Databases that come and go by the dozen are slow
// on a disk: ext4 searches ever longer for inodes that were not deleted just now.
func quickPlace() string {
	var stat syscall.Statfs_t
	if os.Getenv("TMPDIR") == "" && syscall.Statfs(memory, &stat) == nil && stat.Bavail*uint64(stat.Bsize) >= room {
		return memory
	}
	return os.TempDir()
}
