package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/fault"
)

// What is here is beside authsvc.Store: it is for whoever moves everything from another store.

// importBatch is how many keys go to the server at once.
const importBatch = 500

// Unused tells whether no key was ever made in this store.
func (s *Store) Unused(ctx context.Context) (bool, error) {
	var newest authsvc.Revision
	if err := s.pool.QueryRow(ctx, `SELECT value FROM revision`).Scan(&newest); err != nil {
		return false, wrap(ctx, "newest revision", err)
	}
	return newest == 0, nil
}

// Import makes this store another one: it takes over the token key, and every key that feed applies (as
// authsvc.Store.Changes does since revision 0) with its revision, id, secrets and times. It is one transaction, all
// or nothing, that keeps nothing in memory, and a fault.Precondition where the store is not Unused. An auth service
// that runs on this store follows the keys at once, and goes on with the token key that it has read at its start.
func (s *Store) Import(ctx context.Context, tokenKey []byte, feed func(apply func(authsvc.Change) error) error) error {
	return s.write(ctx, func(tx pgx.Tx) error {
		if err := lockUnused(ctx, tx); err != nil {
			return err
		}
		newest, err := insertChanges(ctx, tx, feed)
		if err != nil {
			return err
		}
		var b pgx.Batch
		b.Queue(`INSERT INTO token_key (key) VALUES ($1) ON CONFLICT (one) DO UPDATE SET key = excluded.key`, tokenKey)
		b.Queue(`UPDATE revision SET value = $1`, newest)
		b.Queue(`SELECT pg_notify($1, '')`, channel)
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return wrap(ctx, "end the import of keys", err)
		}
		return nil
	})
}

// lockUnused holds the counter, so that nobody makes a first key meanwhile.
func lockUnused(ctx context.Context, tx pgx.Tx) error {
	var newest authsvc.Revision
	if err := tx.QueryRow(ctx, `SELECT value FROM revision FOR UPDATE`).Scan(&newest); err != nil {
		return wrap(ctx, "lock the newest revision", err)
	}
	if newest != 0 {
		return fault.New(fault.StoreNotEmpty, "keys are imported into a store that never had one, and this one has")
	}
	return nil
}

// insertChanges inserts what feed applies and answers the newest revision.
func insertChanges(ctx context.Context, tx pgx.Tx, feed func(apply func(authsvc.Change) error) error) (newest authsvc.Revision, err error) {
	var b pgx.Batch
	waiting := 0
	flush := func() error {
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return wrap(ctx, "import keys", err)
		}
		b, waiting = pgx.Batch{}, 0
		return nil
	}
	err = feed(func(c authsvc.Change) error {
		insertKey(&b, c.Revision, c.Key)
		insertSecrets(&b, c.Revision, c.Key)
		newest = c.Revision
		if waiting++; waiting < importBatch {
			return nil
		}
		return flush()
	})
	if err != nil {
		return 0, err
	}
	return newest, flush()
}
