package e2e

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// onOwnDisk mounts a tmpfs of this size at dir for a daemon. The mount is in a mount namespace of the daemon and ends
// with it.
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

// mountNamespace returns the attributes that give a command its own mount namespace: as root, or with a user namespace.
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

func TestAFullDiskAllowsChecksAndCountsThem(t *testing.T) {
	t.Parallel()
	s := newCluster(t, "--trail-max-bytes", "67108864")
	s.auth.onOwnDisk(s.trailDir, "1m")
	s.expectAllowedOnFullTrail()
}

func TestAFullDiskRefusesChecksIfConfigured(t *testing.T) {
	t.Parallel()
	s := newCluster(t, "--trail-full=refuse", "--trail-max-bytes", "67108864")
	s.auth.onOwnDisk(s.trailDir, "1m")
	s.expectRefusedOnFullTrail()
}
