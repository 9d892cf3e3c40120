// Package disktest gives tests a small disk that they can fill. Only tests import it.
package disktest

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// Mount mounts a file system of so many bytes ("1m") in memory until the end of the test, the first thing that a test
// does. Who may not mount runs the test again as a process that may, in name spaces of its own; then ok is false, and
// there is nothing left to do.
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
		t.Fatalf("mount a small disk: %v; in name spaces: %v\n%s", err, e, out)
	}
	return "", false
}
