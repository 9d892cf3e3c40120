package logsvc

import (
	"context"

	"github.com/google/uuid"
)

// Store keeps entries. Its methods may be called concurrently, from any number of replicas where the store can be
// shared. A method that answers without an error has made its effect durable: it survives a crash of the process
// and of the machine. A method that answers an error may have had its effect or not, and may be called again.
// Contexts are honoured: a cancelled call returns soon, with an error that wraps the context's. Every sentence here is
// a subtest of storetest.
type Store interface {
	// Record stores entries in one transaction: all of them or none. By (workspace, id), an entry that is new is stored,
	// and one that is there becomes the Merge of itself and the new one. The batch may hold one id several times: that is
	// as if its entries were recorded one after another. All ids are within the window of the service, which reaches a
	// day into the future.
	Record(ctx context.Context, entries []Entry) error

	// Get answers the entry of this workspace and id; found is false where there is none.
	Get(ctx context.Context, workspaceID string, id uuid.UUID) (entry Entry, found bool, err error)

	// List answers the newest entries of the workspace that match the filter and lie in the range. When the time
	// of query.Budget is used up it stops early, with fewer entries than the limit; each call makes progress:
	// SearchedTo is below the range's To. Everything that matches from SearchedTo on is in the answer.
	// An empty range has been searched: SearchedTo is its From.
	List(ctx context.Context, query Query) (Page, error)

	// Purge erases entries of the workspace with ids up to and with upTo, at most a bounded chunk, and answers how
	// many. 0 = there are none left.
	Purge(ctx context.Context, workspaceID string, upTo uuid.UUID) (int64, error)

	// Expire erases what is below before, in every workspace: at least all of the UTC days that have ended by
	// then, and nothing from before on. Stores that keep days apart leave the rest of a day; readers therefore
	// always bound their range. It may work in bounded chunks inside; on an error it has erased some.
	Expire(ctx context.Context, before uuid.UUID) error
}
