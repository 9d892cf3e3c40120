package disktest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// Disk is a file system of its own that a test can freeze: until it is thawed, every write and sync waits, as on a disk that
// does not respond. Reads go on. A process that waits for it cannot be killed before it is thawed.
type Disk struct {
	// Dir is where it is mounted.
	Dir string

	t      testing.TB
	mu     sync.Mutex
	frozen bool
}

// Freezable mounts an ext4 file system of this size until the end of the test. It needs root and loop devices: without them
// it skips the test, or fails it if CI is set. Call it before anything that has files on it.
func Freezable(t testing.TB, size int64) *Disk {
	t.Helper()
	folder := t.TempDir()
	d := &Disk{t: t, Dir: filepath.Join(folder, "disk")}
	if err := d.mount(filepath.Join(folder, "image"), size); err != nil {
		if os.Getenv("CI") == "" {
			t.Skipf("a disk that can be frozen cannot be mounted here: %v", err)
		}
		t.Fatalf("a disk that can be frozen cannot be mounted here: %v", err)
	}
	if err := d.guard(); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *Disk) mount(image string, size int64) error {
	if err := os.Mkdir(d.Dir, 0o700); err != nil {
		return err
	}
	f, err := os.Create(image)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		return err
	}
	if err := run("mkfs.ext4", "-q", "-F", image); err != nil {
		return err
	}
	return run("mount", "-o", "loop", image, d.Dir)
}

// guard starts a process that thaws and unmounts the disk when the test ends, and also when the process of the test is
// killed: a frozen disk that is left behind stops every sync of the machine.
func (d *Disk) guard() error {
	// A process that was killed may need a moment to let go of its files.
	const script = `cat; fsfreeze -u "$0" 2>/dev/null
for try in 1 2 3 4 5 6 7 8 9; do umount "$0" 2>/dev/null && exit; sleep 0.$try; done
umount "$0" || { umount -l "$0"; exit 1; }`
	process, output := exec.Command("/bin/sh", "-c", script, d.Dir), &bytes.Buffer{}
	process.Stdout, process.Stderr, process.SysProcAttr = output, output, &syscall.SysProcAttr{Setsid: true}
	end, err := process.StdinPipe()
	if err == nil {
		err = process.Start()
	}
	if err != nil {
		return fmt.Errorf("guard the disk: %w", err)
	}
	d.t.Cleanup(func() { d.release(end, process, output) })
	return nil
}

func (d *Disk) release(end io.Closer, process *exec.Cmd, output *bytes.Buffer) {
	_ = end.Close()
	if err := process.Wait(); err != nil {
		d.t.Errorf("unmount the disk: %v\n%s", err, output)
	}
}

// Freeze returns when the disk is frozen. The end of the test thaws it, before it ends what was started earlier.
func (d *Disk) Freeze() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.frozen {
		return nil
	}
	if err := run("fsfreeze", "-f", d.Dir); err != nil {
		return err
	}
	d.frozen = true
	d.t.Cleanup(func() {
		if err := d.Thaw(); err != nil {
			d.t.Error(err)
		}
	})
	return nil
}

// Thaw makes the disk respond again.
func (d *Disk) Thaw() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.frozen {
		return nil
	}
	d.frozen = false
	return run("fsfreeze", "-u", d.Dir)
}

// run runs a command.
func run(name string, args ...string) error {
	// Debian has some of them where the PATH of a user does not lead.
	if path, err := exec.LookPath("/usr/sbin/" + name); err == nil {
		name = path
	}
	if output, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(output))
	}
	return nil
}
