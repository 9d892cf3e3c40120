package logsvc_test

import (
	"context"
	"encoding/base64"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/block"
)

// reads remembers how large the calls of Read are.
type reads struct {
	logsvc.Store
	// shared and alone are the most bytes that were read at once: of several blocks, and of a single one. The most blocks that
	// were read at once are blocks.
	shared, alone, blocks int
}

func (r *reads) Read(ctx context.Context, workspaceID string, parts []logsvc.Part) ([][]byte, error) {
	bytes, blocks := 0, map[uuid.UUID]bool{}
	for _, part := range parts {
		bytes += part.Length
		blocks[part.ID] = true
	}
	if len(blocks) > 1 {
		r.shared, r.blocks = max(r.shared, bytes), max(r.blocks, len(blocks))
	} else {
		r.alone = max(r.alone, bytes)
	}
	return r.Store.Read(ctx, workspaceID, parts)
}

// insertLong stores a block of calls with long endpoints that cannot be compressed well. The first of them has failed.
func insertLong(t *testing.T, store logsvc.Store, start time.Time, rows int) {
	t.Helper()
	random, raw := rand.NewChaCha8([32]byte{byte(rows)}), make([]byte, 1530)
	entries := make([]logsvc.Entry, rows)
	for i := range entries {
		entries[i] = entryAt(start.Add(time.Duration(i) * time.Millisecond))
		_, _ = random.Read(raw) // it never fails
		entries[i].Endpoint = base64.StdEncoding.EncodeToString(raw)
	}
	entries[0].Status = 500
	p, err := block.NewEncoder().Encode(entries)
	must(t, err)
	sealed := logsvc.SealedBlock{
		Block: logsvc.Block{ID: uuid.New(), First: p.First, Last: p.Last, Rows: p.Rows, Summary: p.Summary}, Data: p.Data,
	}
	must(t, store.Replace(t.Context(), "acme", logsvc.Change{Insert: []logsvc.SealedBlock{sealed}}))
}

// TestASearchReadsOneMebibyteAtATime searches 16 blocks of about 300 KiB and a larger one. Each has one match.
func TestASearchReadsOneMebibyteAtATime(t *testing.T) {
	store := &reads{Store: openStore(t)}
	for i := range 17 {
		rows := 200
		if i == 8 {
			rows = 1000
		}
		insertLong(t, store, noon.Add(time.Duration(i)*time.Minute), rows)
	}
	page, err := logsvc.NewSearcher(store, nil).List(t.Context(), logsvc.Query{
		WorkspaceID: "acme", Filter: logsvc.Filter{StatusClass: 5}, Range: logsvc.Range{To: uuid.Max}, Limit: 1000,
	})
	must(t, err)
	if len(page.Entries) != 17 {
		t.Errorf("%d entries, want 17", len(page.Entries))
	}
	if store.shared > 1<<20 || store.blocks < 3 || store.alone < 1<<20 {
		t.Errorf("at once, %d bytes of %d blocks were read, and %d bytes of a single one", store.shared, store.blocks, store.alone)
	}
}
