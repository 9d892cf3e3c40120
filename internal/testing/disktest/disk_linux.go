// Package disktest provides tests with a small file system that they can fill.
package disktest

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// Mount mounts a file system of a size ("1m") in memory until the end of the test. It must be the first call of the test: a
// process without the right to mount runs the test again in a process that has it, in namespaces of its own. Then ok is
// false, and the test must return.
func Mount(t *testing.T, size string) (dir string, ok bool) {
	t.Helper()
	dir = t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size)
	if err == nil {
		t.Cleanup(func() {
			if err := syscall.Unmount(dir, 0); err != nil {
				t.Error(err)
			}
		})
		return dir, true
	}
	const again = "KEYTRAIL_TEST_NAMESPACE"
	if os.Getenv(again) != "" {
		t.Fatalf("mount a small disk: %v", err)
	}
	process := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	process.Env = append(os.Environ(), again+"=1")
	process.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	if out, e := process.CombinedOutput(); e != nil {
		t.Fatalf("mount a small disk: %v; in namespaces: %v\n%s", err, e, out)
	}
	return "", false
}
