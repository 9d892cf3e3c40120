package logsvc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc/block"
)

const (
	// DefaultSealRows is how many rows of a workspace at rest are sealed before the day is over. Rows that are not sealed are
	// searched one by one, 0.5 µs each.
	DefaultSealRows = 2048
	// DefaultBlockRows is how many rows a block has once the day is over. Larger blocks take fewer bytes a row. A third
	// more, which late rows may bring, is block.MaxRows.
	DefaultBlockRows = 49_152
	// DefaultGrace is the age at which rows are sealed: by then most calls have been reported.
	DefaultGrace = 15 * time.Minute
)

// SealConfig configures a Sealer. Its zero values are not defaults: see the constants.
type SealConfig struct {
	// SealRows is how many rows of a workspace must be at rest before they are sealed, while their day is not over.
	SealRows int
	// BlockRows is how many rows the blocks of a day have that is over, where there are so many; at most three quarters of
	// block.MaxRows.
	BlockRows int
	// Grace is the age at which rows are sealed.
	Grace time.Duration
	// Now is the clock.
	Now func() time.Time
}

// Sealer packs rows that have come to rest into blocks. Any number of replicas may have one on a store.
type Sealer struct {
	store   Store
	config  SealConfig
	decoder *block.Decoder
	// swept is the UTC day of the last pass that sealed everything.
	swept time.Time
	// unjoinable are the first blocks of groups that joining does not make fewer, since that pass.
	unjoinable map[uuid.UUID]bool
}

// NewSealer returns a sealer.
func NewSealer(store Store, config SealConfig) *Sealer {
	return &Sealer{store: store, config: config, decoder: block.NewDecoder(), unjoinable: map[uuid.UUID]bool{}}
}

// Seal makes one pass over all workspaces. It seals those that have enough rows at rest. The first pass of a UTC day, by the
// clock less the grace, also seals the rest of the days that have ended, and folds the rows that have arrived since into the
// blocks of their days. Calls must not overlap. Workspaces that another sealer is working on are left to it. An error of one
// workspace does not hold up the others.
func (s *Sealer) Seal(ctx context.Context) error {
	rest := s.config.Now().Add(-s.config.Grace).UTC()
	today := rest.Truncate(dayLength)
	sweep := !s.swept.Equal(today)
	minRows := s.config.SealRows
	if sweep {
		minRows = 1
	}
	backlog, err := s.store.Backlog(ctx, uuid7.First(rest), minRows)
	if err == nil && sweep {
		backlog, err = s.addAll(ctx, backlog, today.Add(-dayLength))
	}
	if err != nil {
		return fmt.Errorf("find the rows to seal: %w", err)
	}
	encoder := block.NewEncoder()
	var errs []error
	complete := true
	for _, b := range backlog {
		ended := b.Day.Before(today)
		if !ended && b.Rows < int64(s.config.SealRows) {
			continue
		}
		pass := &sealing{
			Sealer: s, encoder: encoder, workspaceID: b.WorkspaceID, everything: ended && sweep,
			ids: Range{From: uuid7.Bound(b.Day), To: uuid7.Bound(b.Day.Add(dayLength))}.Overlap(Range{To: uuid7.First(rest)}),
		}
		acquired, err := s.store.TryLock(ctx, b.WorkspaceID, pass.run)
		complete = complete && acquired
		switch {
		case errors.Is(err, ErrConflict) || errors.Is(err, ErrBlockGone):
			complete = false // a purge or another sealer was quicker
		case err != nil:
			complete = complete && errors.Is(err, block.ErrDamaged) // which would fail in every pass
			errs = append(errs, fmt.Errorf("seal the request logs of %s on %s: %w", b.WorkspaceID, b.Day.Format(time.DateOnly), err))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if err := s.store.Compact(ctx, today); err != nil {
		errs = append(errs, fmt.Errorf("give back the space of sealed rows: %w", err))
	}
	if complete && sweep {
		s.swept = today
		clear(s.unjoinable)
	}
	return errors.Join(errs...)
}

const dayLength = 24 * time.Hour

// addAll adds the other workspaces on one day: their rows may have been sealed, but their blocks not joined.
func (s *Sealer) addAll(ctx context.Context, backlog []Backlog, day time.Time) ([]Backlog, error) {
	there := map[string]bool{}
	for _, b := range backlog {
		if b.Day.Equal(day) {
			there[b.WorkspaceID] = true
		}
	}
	for workspaceID := ""; ; {
		var err error
		if workspaceID, err = s.store.NextWorkspace(ctx, workspaceID); err != nil || workspaceID == "" {
			return backlog, err
		}
		if !there[workspaceID] {
			backlog = append(backlog, Backlog{WorkspaceID: workspaceID, Day: day})
		}
	}
}

// sealing seals one workspace and day.
type sealing struct {
	*Sealer
	encoder     *block.Encoder
	workspaceID string
	// ids are those of the day that are at rest.
	ids Range
	// everything is set if no row is to be left, however few there are.
	everything bool
	// blocks are those of the day, by ascending id.
	blocks []Block
}

func (s *sealing) run(ctx context.Context) error {
	if err := s.readBlocks(ctx); err != nil {
		return err
	}
	tail := s.ids
	var damaged error
	if n := len(s.blocks); n > 0 {
		tail.From = uuid7.Next(s.blocks[n-1].Last)
		if damaged = s.foldLate(ctx, Range{From: s.ids.From, To: tail.From}); damaged != nil && !errors.Is(damaged, block.ErrDamaged) {
			return damaged
		}
	}
	if err := s.sealTail(ctx, tail); err != nil {
		return errors.Join(damaged, err)
	}
	return errors.Join(damaged, s.join(ctx))
}

func (s *sealing) readBlocks(ctx context.Context) (err error) {
	s.blocks, err = blocksIn(ctx, s.store, s.workspaceID, s.ids)
	slices.Reverse(s.blocks)
	return err
}

// blocksIn returns all blocks that overlap a range, by descending id.
func blocksIn(ctx context.Context, store Store, workspaceID string, ids Range) (blocks []Block, err error) {
	for !ids.Empty() {
		view, err := store.View(ctx, ViewQuery{WorkspaceID: workspaceID, Range: ids, Rows: 1, Blocks: maxStep.blocks})
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, view.Blocks...)
		ids.To = view.BlocksFrom
	}
	return blocks, nil
}

// foldLate folds rows into the blocks of the day: all of them, or SealRows at least.
func (s *sealing) foldLate(ctx context.Context, late Range) error {
	var damaged error
	for first := true; ; first = false {
		rows, err := s.store.Oldest(ctx, s.workspaceID, late, s.config.BlockRows)
		if err != nil || len(rows) == 0 {
			return errors.Join(damaged, err)
		}
		if first && !s.everything && len(rows) < s.config.SealRows {
			return nil
		}
		if err := s.fold(ctx, rows); errors.Is(err, block.ErrDamaged) {
			damaged = err
		} else if err != nil {
			return err
		}
		late.From = uuid7.Next(rows[len(rows)-1].ID)
	}
}

// sealTail seals the rows above the blocks: all of them, or SealRows at least.
func (s *sealing) sealTail(ctx context.Context, tail Range) error {
	for {
		rows, err := s.blockOf(ctx, tail)
		if err != nil || len(rows) == 0 || len(rows) < s.config.SealRows && !s.everything {
			return err
		}
		sealed, err := s.pack(rows)
		if err == nil {
			err = s.store.Replace(ctx, s.workspaceID, Change{Rows: rows, Insert: []SealedBlock{sealed}})
		}
		if err != nil {
			return err
		}
		s.blocks = append(s.blocks, sealed.Block)
		tail.From = uuid7.Next(sealed.Last)
	}
}

// blockOf returns the oldest rows of a range, as many as a block takes.
func (s *sealing) blockOf(ctx context.Context, ids Range) (rows []Entry, err error) {
	for len(rows) < s.config.BlockRows {
		more, err := s.store.Oldest(ctx, s.workspaceID, ids, s.config.SealRows)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
		if n := fitting(rows); n < len(rows) {
			return rows[:n], nil
		}
		if len(more) < s.config.SealRows {
			break
		}
		ids.From = uuid7.Next(more[len(more)-1].ID)
	}
	return rows, nil
}

// fold rewrites the blocks that rows, by ascending id, belong to. A row that lies between two blocks goes to the lower one.
func (s *sealing) fold(ctx context.Context, rows []Entry) error {
	var damaged error
	for i := len(s.blocks) - 1; i >= 0; i-- {
		from := 0
		for i > 0 && from < len(rows) && below(rows[from].ID, s.blocks[i].First) {
			from++
		}
		if from == len(rows) {
			continue
		}
		rewritten, err := s.rewrite(ctx, s.blocks[i], rows[from:])
		switch {
		case errors.Is(err, block.ErrDamaged):
			damaged = err
		case err != nil:
			return err
		default:
			s.blocks = slices.Replace(s.blocks, i, i+1, rewritten...)
		}
		rows = rows[:from]
	}
	return damaged
}

// rewrite replaces a block by one or more that hold its entries and the rows, which it returns.
func (s *sealing) rewrite(ctx context.Context, old Block, rows []Entry) ([]Block, error) {
	sealed, err := unpack(ctx, s.store, s.decoder, s.workspaceID, old)
	if err != nil {
		return nil, err
	}
	change := Change{Rows: rows, Delete: []Block{old}}
	if change.Insert, err = s.packAll(reversed(layOver(reversed(rows), reversed(sealed)))); err != nil {
		return nil, err
	}
	return change.blocks(), s.store.Replace(ctx, s.workspaceID, change)
}

// join packs neighbouring blocks into one of at most BlockRows. While the day goes on it waits until no more would fit: the
// database can then use the space of the small blocks again on the same day.
func (s *sealing) join(ctx context.Context) error {
	var damaged error
	for start := 0; start < len(s.blocks); {
		rows, end := s.blocks[start].Rows, start+1
		for end < len(s.blocks) && rows+s.blocks[end].Rows <= s.config.BlockRows {
			rows += s.blocks[end].Rows
			end++
		}
		full := end < len(s.blocks)
		if end > start+1 && (full || s.everything) && !s.unjoinable[s.blocks[start].ID] {
			if err := s.joinOne(ctx, s.blocks[start:end]); errors.Is(err, block.ErrDamaged) {
				damaged = err
			} else if err != nil {
				return err
			}
		}
		start = end
	}
	return damaged
}

// joinOne packs blocks anew, unless they are as many afterwards, because their endpoints are long.
func (s *sealing) joinOne(ctx context.Context, blocks []Block) error {
	change := Change{Delete: blocks}
	var entries []Entry
	for _, b := range blocks {
		sealed, err := unpack(ctx, s.store, s.decoder, s.workspaceID, b)
		if err != nil {
			return err
		}
		entries = append(entries, sealed...)
	}
	var err error
	if change.Insert, err = s.packAll(entries); err != nil {
		return err
	}
	if len(change.Insert) >= len(blocks) {
		s.unjoinable[blocks[0].ID] = true
		return nil
	}
	return s.store.Replace(ctx, s.workspaceID, change)
}

func (c Change) blocks() (blocks []Block) {
	for _, b := range c.Insert {
		blocks = append(blocks, b.Block)
	}
	return blocks
}

// reversed returns the entries in the opposite order.
func reversed(entries []Entry) []Entry {
	entries = slices.Clone(entries)
	slices.Reverse(entries)
	return entries
}
