// Package logsvc is the domain of the log service: how long request logs are kept, how they are searched and sealed, and the
// contract of their stores.
package logsvc

import "github.com/keytrail/keytrail/logsvc/block"

// Entry is one request log.
type Entry = block.Entry

// Filter selects entries of one workspace.
type Filter = block.Filter

// Merge returns what is known about a call from two entries of one workspace and id.
func Merge(first, second Entry) Entry { return block.Merge(first, second) }
