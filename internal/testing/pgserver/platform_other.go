//go:build !linux

package pgserver

import (
	"os"
	"syscall"
)

// serverCredential returns nil: the server runs as the user of this process, who must not be root.
func serverCredential() (*syscall.Credential, error) { return nil, nil }

func attributes(*syscall.Credential) *syscall.SysProcAttr { return nil }

func quickFolder() string { return os.TempDir() }
