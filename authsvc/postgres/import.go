package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/fault"
)

// importBatch is how many keys are sent to the server at once.
const importBatch = 500

// Unused reports whether the store never had a key.
func (s *Store) Unused(ctx context.Context) (bool, error) {
	newest, _, err := s.Newest(ctx, authsvc.Position{})
	return err == nil && newest.Revision == 0, err
}

// Import copies another store into this one: its token key, and every key that feed applies, as authsvc.Store.Changes
// does since revision 0, with its revision, id, secrets and times. Import is one transaction and does not hold the keys in
// memory. If the store is not Unused it returns a fault.Precondition. An auth service that uses the store meanwhile follows
// the keys at once, but keeps the token key that it read at its start.
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
		b.Queue(`INSERT INTO history (revision) VALUES ($1) ON CONFLICT DO NOTHING`, newest) // 0 is there
		b.Queue(`SELECT pg_notify($1, '')`, channel)
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return wrap(ctx, "finish the import of keys", err)
		}
		return nil
	})
}

// lockUnused locks the revision counter, so that no other transaction creates a key.
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

// insertChanges inserts what feed applies and returns the newest revision.
func insertChanges(ctx context.Context, tx pgx.Tx, feed func(apply func(authsvc.Change) error) error) (newest authsvc.Revision, err error) {
	var b pgx.Batch
	pending := 0
	flush := func() error {
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return wrap(ctx, "import keys", err)
		}
		b, pending = pgx.Batch{}, 0
		return nil
	}
	err = feed(func(c authsvc.Change) error {
		insertKey(&b, c.Revision, c.Key)
		insertSecrets(&b, c.Revision, c.Key)
		newest = c.Revision
		if pending++; pending < importBatch {
			return nil
		}
		return flush()
	})
	if err != nil {
		return 0, err
	}
	return newest, flush()
}
