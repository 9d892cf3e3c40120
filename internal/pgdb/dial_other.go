//go:build !linux

package pgdb

import "syscall"

// limitUnacknowledged keeps the system's limit on how long sent data may stay unacknowledged.
func limitUnacknowledged(string, string, syscall.RawConn) error { return nil }
