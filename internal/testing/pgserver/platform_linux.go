package pgserver

import (
	"errors"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// serverCredential returns the user that the server runs as, nil for the user of this process. Postgres refuses to run as
// root; instead it runs as postgres, or nobody.
func serverCredential() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if found, err := user.Lookup(name); err == nil {
			uid, uidErr := strconv.ParseUint(found.Uid, 10, 32)
			gid, gidErr := strconv.ParseUint(found.Gid, 10, 32)
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(uidErr, gidErr)
		}
	}
	return nil, errors.New("a private Postgres cannot run as root, and there is no user postgres or nobody")
}

// attributes keep the terminal's signals from a child process, and make the kernel end it when its parent dies.
func attributes(credential *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: credential, Setpgid: true, Pdeathsig: syscall.SIGQUIT}
}

const (
	memoryFolder = "/dev/shm"
	// minMemory must be free in memoryFolder: containers often have 64 MB there.
	minMemory = 2 << 30
)

// quickFolder returns where a server for tests is created: in memory, if there is enough and TMPDIR is not set. Creating and
// dropping databases by the dozen is slow on a disk, because ext4 searches ever longer for free inodes.
func quickFolder() string {
	var stat syscall.Statfs_t
	if os.Getenv("TMPDIR") == "" && syscall.Statfs(memoryFolder, &stat) == nil && stat.Bavail*uint64(stat.Bsize) >= minMemory {
		return memoryFolder
	}
	return os.TempDir()
}
