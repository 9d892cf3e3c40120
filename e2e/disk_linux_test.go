package e2e

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// onOwnDisk lets a daemon run with a file system of its own, of this size and in memory, in place of a folder. The
// mount is in a namespace that nobody but the daemon sees, and ends with it.
func (d *daemon) onOwnDisk(dir, size string) {
	d.t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		d.t.Fatal(err)
	}
	const mount = `mount -t tmpfs -o mode=700,size="$1" tmpfs "$0" && shift && exec "$@"`
	mounting := []string{"/bin/sh", "-c", mount, dir, size}
	attributes, err := mountNamespace(append(mounting, "true"))
	if err != nil {
		if os.Getenv("CI") == "" {
			d.t.Skipf("a small disk cannot be mounted here: %v", err)
		}
		d.t.Fatalf("a small disk cannot be mounted here: %v", err)
	}
	d.command, d.attributes = append(mounting, d.command...), attributes
}

// mountNamespace finds how a command can have mounts of its own: as root, or as the root of a namespace of users.
func mountNamespace(command []string) (*syscall.SysProcAttr, error) {
	self := func(id int) []syscall.SysProcIDMap {
		return []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
	}
	var failed error
	for _, attributes := range []*syscall.SysProcAttr{
		{Unshareflags: syscall.CLONE_NEWNS},
		{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, UidMappings: self(os.Getuid()), GidMappings: self(os.Getgid())},
	} {
		probe := exec.Command(command[0], command[1:]...)
		probe.SysProcAttr = attributes
		output, err := probe.CombinedOutput()
		if err == nil {
			return attributes, nil
		}
		failed = errors.Join(failed, err, errors.New(string(output)))
	}
	return nil, failed
}

func TestAFullDiskLetsChecksPassAndCountsThem(t *testing.T) {
	t.Parallel()
	s := splitStand(t, "--trail-max-bytes", "67108864")
	s.auth.onOwnDisk(s.trailDir, "1m")
	s.letsPass()
}

func TestAFullDiskRefusesChecksWhereItIsToldTo(t *testing.T) {
	t.Parallel()
	s := splitStand(t, "--trail-full=refuse", "--trail-max-bytes", "67108864")
	s.auth.onOwnDisk(s.trailDir, "1m")
	s.refuses()
}
