//go:build !linux

package pgserver

import "syscall"

// account is whom the server runs as: elsewhere than on Linux, the user of this process, who must not be root.
type account struct{}

func serverAccount() (account, error) { return account{}, nil }

func (account) attributes() *syscall.SysProcAttr { return nil }

func (account) own(string) error { return nil }
