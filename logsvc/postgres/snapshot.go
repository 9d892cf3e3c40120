package postgres

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/keytrail/keytrail/logsvc"
)

// snapshot is the copy of its key that a row shows.
type snapshot struct {
	workspaceID             string
	keyID                   uuid.UUID
	name, last4, externalID string
}

func snapshotOf(e *logsvc.Entry) snapshot {
	return snapshot{workspaceID: e.WorkspaceID, keyID: e.KeyID, name: e.KeyName, last4: e.KeyLast4, externalID: e.ExternalID}
}

// noKey reports whether no key was proved.
func (s snapshot) noKey() bool {
	return s.keyID == uuid.Nil && s.name == "" && s.last4 == "" && s.externalID == ""
}

// ref returns the reference of a snapshot in rows: 63 bits of its SHA-256. A workspace would need billions of snapshots before
// two of them were likely to share one. 0 is no key.
func (s snapshot) ref() int64 {
	if s.noKey() {
		return 0
	}
	hash := sha256.New()
	hash.Write(s.keyID[:])
	// None of them contains NUL.
	hash.Write([]byte(s.workspaceID + "\x00" + s.name + "\x00" + s.last4 + "\x00" + s.externalID))
	return int64(binary.BigEndian.Uint64(hash.Sum(nil))>>1 | 1)
}

// maxKnownSnapshots bounds the memory of knownSnapshots, to about 50 MB.
const maxKnownSnapshots = 200_000

// knownSnapshots caches the references of snapshots that are stored with today as the day of their last use, so that a batch
// seldom needs to store one. It is cleared at midnight: a snapshot may be deleted once it has not been used for the
// retention.
type knownSnapshots struct {
	mu   sync.Mutex
	on   day
	refs map[snapshot]int64
}

func newKnownSnapshots() *knownSnapshots { return &knownSnapshots{refs: map[snapshot]int64{}} }

// resolve returns the references of the entries, and the snapshots that have to be stored before them.
func (k *knownSnapshots) resolve(entries []*logsvc.Entry, today day) (refs []int64, unstored map[snapshot]int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.on != today || len(k.refs) > maxKnownSnapshots {
		k.on = today
		clear(k.refs)
	}
	refs, unstored = make([]int64, len(entries)), map[snapshot]int64{}
	for i := range entries {
		snap := snapshotOf(entries[i])
		if snap.noKey() {
			continue
		}
		ref, known := k.refs[snap]
		if !known {
			ref = snap.ref()
			unstored[snap] = ref
		}
		refs[i] = ref
	}
	return refs, unstored
}

// add adds snapshots whose transaction has been committed.
func (k *knownSnapshots) add(unstored map[snapshot]int64, on day) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for snap, ref := range unstored {
		if on == k.on {
			k.refs[snap] = ref
		}
	}
}

const storeSnapshots = `
	INSERT INTO request_log_keys AS k (workspace_id, key_ref, used_on, key_id, key_name, key_last4, external_id)
	SELECT w, r, $1, i, n, l, e
	FROM unnest($2::text[], $3::bigint[], $4::uuid[], $5::text[], $6::text[], $7::text[]) u(w, r, i, n, l, e)
	ON CONFLICT (workspace_id, key_ref) DO UPDATE SET used_on = excluded.used_on WHERE k.used_on < excluded.used_on`

// queueSnapshots queues the insert of snapshots, in the same order on every replica, so that two never deadlock.
func queueSnapshots(batch *pgx.Batch, unstored map[snapshot]int64, today day) {
	if len(unstored) == 0 {
		return
	}
	sorted := make([]snapshot, 0, len(unstored))
	for snap := range unstored {
		sorted = append(sorted, snap)
	}
	slices.SortFunc(sorted, func(a, b snapshot) int {
		return cmp.Or(strings.Compare(a.workspaceID, b.workspaceID), cmp.Compare(unstored[a], unstored[b]))
	})
	batch.Queue(storeSnapshots, today.start(),
		column(sorted, func(s snapshot) string { return s.workspaceID }),
		column(sorted, func(s snapshot) int64 { return unstored[s] }),
		column(sorted, func(s snapshot) pgtype.UUID { return pgUUID(s.keyID) }),
		column(sorted, func(s snapshot) string { return s.name }),
		column(sorted, func(s snapshot) string { return s.last4 }),
		column(sorted, func(s snapshot) string { return s.externalID }))
}
