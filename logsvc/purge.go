package logsvc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc/block"
)

const (
	// purgeBlocks is how many blocks one call of Sealer.Purge deletes, with the rows that lie over them.
	purgeBlocks = 8
	// lockPoll is how often a purge tries to lock its workspace, and lockWait how long.
	lockPoll = 20 * time.Millisecond
	lockWait = 10 * time.Second
)

// errLocked is returned by Sealer.Purge if the workspace is being sealed for too long.
var errLocked = errors.New("the workspace is locked")

// Purge deletes entries of the workspace with ids up to and including upTo, at most a bounded chunk, and returns how many, also
// with an error. More is false if none is left of those that were there when it began: with entries that arrive, a purge that
// went on until it finds none might never end. It is safe for concurrent use. While the workspace is being sealed it waits, for
// at most 10 s and not beyond until: a sealer that has read rows would store them again.
func (s *Sealer) Purge(
	ctx context.Context, workspaceID string, upTo uuid.UUID, until time.Time,
) (purged int64, more bool, err error) {
	p := &purge{Sealer: s, workspaceID: workspaceID, upTo: upTo}
	tick, giveUp := time.NewTicker(lockPoll), time.After(min(lockWait, time.Until(until)))
	defer tick.Stop()
	for {
		acquired, err := s.store.TryLock(ctx, workspaceID, p.run)
		switch {
		case errors.Is(err, ErrConflict) || errors.Is(err, ErrBlockGone): // expired meanwhile
		case err != nil:
			return p.purged, true, fmt.Errorf("purge request logs of %s: %w", workspaceID, err)
		case acquired:
			return p.purged, p.more, nil
		}
		select {
		case <-ctx.Done():
			return p.purged, true, fmt.Errorf("purge request logs of %s: wait for its lock: %w", workspaceID, context.Cause(ctx))
		case <-giveUp:
			return p.purged, true, fmt.Errorf("purge request logs of %s: %w", workspaceID, errLocked)
		case <-tick.C:
		}
	}
}

// purge is the state of one call of Purge.
type purge struct {
	*Sealer
	workspaceID string
	upTo        uuid.UUID
	purged      int64
	more        bool
}

// run deletes the newest blocks, or rows where no block is left.
func (p *purge) run(ctx context.Context) error {
	view, err := p.store.View(ctx, ViewQuery{
		WorkspaceID: p.workspaceID, Range: Range{To: uuid7.Next(p.upTo)}, Rows: 1, Blocks: purgeBlocks,
	})
	if err != nil {
		return err
	}
	for _, b := range view.Blocks {
		if err := p.delete(ctx, b); err != nil {
			return err
		}
	}
	if p.more = len(view.Blocks) > 0; p.more {
		return nil
	}
	n, more, err := p.store.PurgeRecent(ctx, p.workspaceID, p.upTo)
	p.purged, p.more = p.purged+n, more
	return err
}

// delete deletes the entries of a block and the rows that lie over it. The block at the edge is replaced by one with the
// entries above.
func (p *purge) delete(ctx context.Context, b Block) error {
	ids := Range{From: b.First, To: uuid7.Next(b.Last)}.Overlap(Range{To: uuid7.Next(p.upTo)})
	rows, err := p.store.Oldest(ctx, p.workspaceID, ids, block.MaxRows)
	if err != nil {
		return err
	}
	change, deleted := Change{Rows: rows, Delete: []Block{b}}, b.Rows
	if atEdge := below(p.upTo, b.Last); atEdge || len(rows) > 0 {
		entries, err := unpack(ctx, p.store, p.decoder, p.workspaceID, b)
		if err != nil && (atEdge || !errors.Is(err, block.ErrDamaged)) {
			return err
		}
		gone, kept := split(entries, p.upTo)
		if err == nil {
			deleted = len(layOver(reversed(rows), reversed(gone)))
		}
		if change.Insert, err = p.packKept(kept); err != nil {
			return err
		}
	}
	if err := p.store.Replace(ctx, p.workspaceID, change); err != nil {
		return err
	}
	p.purged += int64(deleted)
	return nil
}

// split splits entries, by ascending id, into those up to an id and those above.
func split(entries []Entry, upTo uuid.UUID) (low, high []Entry) {
	n := 0
	for n < len(entries) && !below(upTo, entries[n].ID) {
		n++
	}
	return entries[:n], entries[n:]
}

func (p *purge) packKept(kept []Entry) ([]SealedBlock, error) {
	if len(kept) == 0 {
		return nil, nil
	}
	packer := &sealing{Sealer: p.Sealer, encoder: block.NewEncoder(), workspaceID: p.workspaceID}
	return packer.packAll(kept)
}
