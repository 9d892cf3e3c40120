package authsvc

import (
	"context"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/fault"
)

// Revision numbers the changes to keys of one store, across all workspaces, in the order in which they were
// committed: whoever has seen revision n has seen every change up to n.
type Revision int64

// Change is the newest state of one key as of a revision.
type Change struct {
	Revision Revision
	// Key is the whole key; of a deleted one, only the ID is set.
	Key     Key
	Deleted bool
}

// Store keeps keys. Its methods may be called concurrently, from any number of replicas where the store can be
// shared. A method that answers without an error has made its effect durable. Keys of another workspace are as
// good as absent. ErrNotFound: there is no such key. Every sentence here is a subtest of storetest.
type Store interface {
	// Create stores a new key, with the next revision. Its ID and its secrets' digests are new.
	Create(ctx context.Context, key Key) error

	// Get answers one key, with its secrets newest first, or ErrNotFound.
	Get(ctx context.Context, workspaceID string, id uuid.UUID) (Key, error)

	// List answers up to limit keys of the workspace by descending ID, those below the ID `before` only; a zero
	// `before` starts at the newest.
	List(ctx context.Context, workspaceID string, before uuid.UUID, limit int) ([]Key, error)

	// Update reads a key, lets change alter it and stores the result with the next revision, so that two updates
	// at once never lose one. change may be called more than once, each time with a fresh copy; it must be quick and
	// must not call the store, whose writers may be waiting for it. An error of change ends it, unchanged and as it
	// is. ErrNotFound where there is no key. ID, WorkspaceID and CreateTime never change. It answers the key as
	// stored.
	Update(ctx context.Context, workspaceID string, id uuid.UUID, change func(*Key) error) (Key, error)

	// Delete removes a key and its secrets, with the next revision, or answers ErrNotFound.
	Delete(ctx context.Context, workspaceID string, id uuid.UUID) error

	// Changes calls apply with the newest state of every key changed after the revision since, by ascending
	// revision, and each key once. Since revision 0 that is every key there is (deleted ones may be left out).
	// An error of apply ends it and is answered.
	Changes(ctx context.Context, since Revision, apply func(Change) error) error

	// SigningKey answers the store's 32-byte key for the signatures of entries, made at random the first time:
	// the same for every replica, for ever.
	SigningKey(ctx context.Context) ([]byte, error)
}

// ErrNotFound is what stores answer where there is no such key.
var ErrNotFound = fault.New(fault.NotFound, "key not found")
