package authsvc

import (
	"context"
	"fmt"
	"time"

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

// KeyQuery selects keys of one workspace. Its filters combine with AND; a zero one selects all.
type KeyQuery struct {
	WorkspaceID string
	// Before bounds the page: only keys below this ID; zero = from the newest.
	Before uuid.UUID
	// Limit is the most keys to return, at least 1.
	Limit int
	// Text is a part of the key's name, or the last 4 characters of one of its secrets, in any case.
	Text       string
	ExternalID string
	// State is the key's at Now.
	State State
	Now   time.Time
}

// Request is a request of a caller that must not be carried out twice; the zero one may be.
type Request struct {
	// ID is the caller's.
	ID uuid.UUID
	// Time is when it arrived.
	Time time.Time
}

// RequestLife is how long the id of a request is remembered.
const RequestLife = 24 * time.Hour

// Store keeps keys. Its methods are safe for concurrent use, from any number of replicas where the store can be shared. A
// method that returns without an error has made its effect durable. Keys of another workspace are as good as absent.
// ErrNotFound: there is no such key. Every sentence here is a subtest of storetest.
type Store interface {
	// Create stores a new key, with the next revision. Its ID and its secrets' digests are new. A request ID that was
	// used in this workspace within RequestLife before request.Time, by Create or Update, is a RequestUsed fault, and
	// nothing is changed.
	Create(ctx context.Context, key Key, request Request) error

	// Get returns one key, with its secrets newest first, or ErrNotFound.
	Get(ctx context.Context, workspaceID string, id uuid.UUID) (Key, error)

	// List returns the keys that the query selects, by descending ID.
	List(ctx context.Context, query KeyQuery) ([]Key, error)

	// Update reads a key, lets change alter it and stores the result with the next revision, so that two updates
	// at once never lose one. change may be called more than once, each time with a fresh copy; it must be quick and
	// must not call the store, whose writers may be waiting for it. An error of change ends it, unchanged and as it
	// is. ErrNotFound where there is no key. ID, WorkspaceID and CreateTime never change. It returns the key as
	// stored. The request's ID is treated as Create does; where the update fails it is not used.
	Update(ctx context.Context, workspaceID string, id uuid.UUID, request Request, change func(*Key) error) (Key, error)

	// Delete calls check with the key and then removes it and its secrets, with the next revision. An error of check ends
	// it, unchanged and as it is. ErrNotFound where there is no key.
	Delete(ctx context.Context, workspaceID string, id uuid.UUID, check func(*Key) error) error

	// Changes calls apply with the newest state of every key changed after the revision since, by ascending
	// revision, and each key once. Since revision 0 that is every key there is (deleted ones may be left out).
	// An error of apply ends it and is returned.
	Changes(ctx context.Context, since Revision, apply func(Change) error) error

	// TokenKey returns the store's 32-byte key for report tokens, made at random the first time: the same for every
	// replica, for ever.
	TokenKey(ctx context.Context) ([]byte, error)
}

// ErrNotFound is what stores return where there is no such key.
var ErrNotFound = fault.New(fault.KeyNotFound, "key not found")

// RequestUsed is what stores return where a request was carried out before, on this key.
func RequestUsed(keyID uuid.UUID) error {
	return &fault.Error{
		Reason: fault.RequestIDUsed, Metadata: map[string]string{"key_id": keyID.String()},
		Message: fmt.Sprintf("the request_id was used before, for the key %s; its secret cannot be shown again, but rotated", keyID),
	}
}
