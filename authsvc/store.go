package authsvc

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/fault"
)

// Revision numbers the changes to keys of one store, across all workspaces, in the order in which they were committed: a
// reader that has seen revision n has seen every change up to n.
type Revision int64

// Position is a revision in the history of a store. The zero Position is in no history.
type Position struct {
	Revision Revision
	// Mark is random. A failover to a standby that lagged, or a restore, can lose revisions; a later change then takes the
	// number of a lost one, but never its mark.
	Mark uuid.UUID
}

// HistoryLife is how long a store keeps positions, and the deletions after them, for readers that follow.
const HistoryLife = 24 * time.Hour

// Change is the newest state of one key as of a revision.
type Change struct {
	Revision Revision
	// Key is the whole key. If it was deleted, only the ID is set.
	Key     Key
	Deleted bool
}

// KeyQuery selects keys of one workspace. Its filters combine with AND; a zero filter selects all keys.
type KeyQuery struct {
	WorkspaceID string
	// Before selects the keys below this ID; zero starts at the newest.
	Before uuid.UUID
	// Limit is the maximum number of keys to return, at least 1.
	Limit int
	// Bytes is the maximum sum of the sizes of the keys to return (Key.Size); zero means no limit.
	Bytes int64
	// Text is a substring of the key's name, or the last 4 characters of one of its secrets. Case does not matter.
	Text       string
	ExternalID string
	// State is the key's state at Now.
	State State
	Now   time.Time
}

// Request limits how a change is carried out. The zero Request limits nothing.
type Request struct {
	// ID is chosen by the caller for a request that must not be carried out twice.
	ID uuid.UUID
	// Time is when a request with an ID arrived.
	Time time.Time
	// Quota limits what the workspace can have.
	Quota Quota
}

// RequestLife is how long the ID of a request is remembered.
const RequestLife = 24 * time.Hour

// Store stores keys. Its methods are safe for concurrent use, by any number of replicas if the store can be shared. A
// method that returns without an error has made its effect durable. A key of another workspace is treated as absent.
// Methods return ErrNotFound if there is no such key. Every sentence here is a subtest of storetest.
type Store interface {
	// Create stores a new key with the next revision. Its ID and the digests of its secrets must be new. If Create or
	// Update used the request ID in this workspace within RequestLife before request.Time, Create returns RequestUsed and
	// changes nothing. If request.Quota refuses what the workspace would then have, Create returns the error of Quota.Check
	// and changes nothing. Concurrent requests do not exceed a quota together. Deleted keys do not count.
	Create(ctx context.Context, key Key, request Request) error

	// Get returns one key with its secrets, newest first.
	Get(ctx context.Context, workspaceID string, id uuid.UUID) (Key, error)

	// List returns the first keys that the query selects, by descending ID, up to its limits but at least one. Their secrets
	// have no digests. more reports whether the query selects further keys; List does not read their
	// allowlists.
	List(ctx context.Context, query KeyQuery) (keys []Key, more bool, err error)

	// Update reads a key, applies change to it, stores the result with the next revision and returns the key as stored.
	// Concurrent updates never overwrite each other. change may be called more than once, each time with a new copy; it
	// must be quick and must not call the store, because writers may wait for it. If change returns an error, Update
	// returns that error and changes nothing. ID, WorkspaceID and CreateTime never change. The request ID
	// and the quota have the meaning that they have in Create; an update that fails does not use its ID, and one that does
	// not make the key larger passes every quota.
	Update(ctx context.Context, workspaceID string, id uuid.UUID, request Request, change func(*Key) error) (Key, error)

	// Delete calls check with the key and then removes the key and its secrets with the next revision. If check returns
	// an error, Delete returns that error and changes nothing.
	Delete(ctx context.Context, workspaceID string, id uuid.UUID, check func(*Key) error) error

	// Changes calls apply with the newest state of every key that was changed after the revision since: by ascending
	// revision, each key once, with copies that apply may keep. Since revision 0 these are all keys; deleted keys may be
	// omitted. If apply returns an error, Changes stops and returns that error.
	Changes(ctx context.Context, since Revision, apply func(Change) error) error

	// ChangesSince is Newest and Changes in one snapshot of the store: the changes that it applies lead from since to newest,
	// and to no later position. Since the zero position these are all keys. If another since is not a position of this store's
	// history, follows is false and nothing is applied.
	ChangesSince(ctx context.Context, since Position, apply func(Change) error) (newest Position, follows bool, err error)

	// Newest returns the newest position. follows reports whether since is a position of this store's history, of which
	// Changes has everything that came after. This holds for every position that was the newest one within HistoryLife,
	// unless the store lost it. Older positions and deletions may be forgotten.
	Newest(ctx context.Context, since Position) (newest Position, follows bool, err error)

	// TokenKey returns the store's 32-byte key for report tokens. The first call generates it; it is the same for every
	// replica and never changes.
	TokenKey(ctx context.Context) ([]byte, error)
}

// ErrNotFound means that a store has no such key.
var ErrNotFound = fault.New(fault.KeyNotFound, "key not found")

// RequestUsed returns the error of a request that was carried out before, on this key.
func RequestUsed(keyID uuid.UUID) error {
	return &fault.Error{
		Reason: fault.RequestIDUsed, Metadata: map[string]string{"key_id": keyID.String()},
		Message: fmt.Sprintf("the request_id was used before, for the key %s; its secret cannot be shown again, but rotated", keyID),
	}
}
