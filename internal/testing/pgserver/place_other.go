//go:build !linux

package pgserver

import "os"

// quickPlace is where a server that need not be durable is made.
func quickPlace() string { return os.TempDir() }
