package authsvc

import (
	"fmt"
	"strconv"

	"github.com/keytrail/keytrail/internal/fault"
)

// The default quota of a workspace.
const (
	DefaultMaxKeys     = 10_000
	DefaultMaxKeyBytes = 32 << 20
)

// Usage is what a workspace has, or what a change adds to it; what the change takes away is negative.
type Usage struct {
	// Keys is the number of keys, disabled and expired ones included.
	Keys int
	// Bytes is the sum of their sizes: see Key.Size.
	Bytes int64
}

// Quota limits what a workspace can have. A limit of zero is none.
type Quota Usage

// Limits reports whether the quota may refuse a change that adds this much. It refuses none that adds nothing, so that a
// workspace can shrink although its quota was lowered.
func (q Quota) Limits(added Usage) bool {
	return q.Keys > 0 && added.Keys > 0 || q.Bytes > 0 && added.Bytes > 0
}

// Check returns a KEY_QUOTA_EXCEEDED fault if the quota refuses a change that adds this much to what the workspace has.
func (q Quota) Check(has, added Usage) error {
	if keys := has.Keys + added.Keys; q.Keys > 0 && added.Keys > 0 && keys > q.Keys {
		return quotaExceeded("keys", "--max-keys-per-workspace", int64(q.Keys), int64(keys))
	}
	if bytes := has.Bytes + added.Bytes; q.Bytes > 0 && added.Bytes > 0 && bytes > q.Bytes {
		return quotaExceeded("bytes", "--max-key-bytes-per-workspace", q.Bytes, bytes)
	}
	return nil
}

// quotaExceeded names the flag of the auth service that raises the limit.
func quotaExceeded(unit, flag string, limit, wanted int64) error {
	return &fault.Error{
		Reason: fault.KeyQuotaExceeded,
		Message: fmt.Sprintf("the keys of the workspace are limited to %d %s (%s of the auth service), and would have %d: "+
			"delete keys, or shorten their allowlists and metadata", limit, unit, flag, wanted),
		Metadata: map[string]string{"limit": unit, "value": strconv.FormatInt(limit, 10), "flag": flag},
	}
}
