// Package durable is for files that must outlive a crash of the machine.
package durable

import (
	"errors"
	"os"
)

// SyncFolder brings the names in a folder to the disk: what was made, renamed or deleted there. A file that is synced
// itself is only found again after that (fsync(2)).
func SyncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
