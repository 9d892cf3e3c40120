package logsvc

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc/block"
)

// packAll packs entries into blocks of equal size. A block takes up to a third more than BlockRows, so that a few rows do not
// split it.
func (s *sealing) packAll(entries []Entry) (blocks []SealedBlock, err error) {
	most := s.config.BlockRows + s.config.BlockRows/3
	count := (len(entries) + most - 1) / most
	size := (len(entries) + count - 1) / count
	for len(entries) > 0 {
		n := fitting(entries[:min(size, len(entries))])
		packed, err := s.pack(entries[:n])
		if err != nil {
			return nil, err
		}
		blocks, entries = append(blocks, packed), entries[n:]
	}
	return blocks, nil
}

// maxBlockText is how many bytes of endpoints a block has: a search reads all of them at once.
const maxBlockText = 4 << 20

// fitting returns how many of the entries fit into one block.
func fitting(entries []Entry) int {
	bytes := 0
	for i := range entries {
		if bytes += len(entries[i].Endpoint); bytes > maxBlockText {
			return i
		}
	}
	return len(entries)
}

// unpack reads all entries of a block, by ascending id.
func unpack(ctx context.Context, store Store, decoder *block.Decoder, workspaceID string, b Block) ([]Entry, error) {
	summary, err := parse(decoder, b)
	if err != nil {
		return nil, err
	}
	data, err := store.Read(ctx, workspaceID, []Part{{Block: b, Span: summary.Whole()}})
	if err != nil {
		return nil, err
	}
	entries, err := decoder.Entries(summary, data[0])
	if err != nil {
		return nil, fmt.Errorf("block %s: %w", b.ID, err)
	}
	for i := range entries {
		entries[i].WorkspaceID = workspaceID
	}
	return entries, nil
}

// parse parses the summary of a block, and makes sure that the rest of b is about the same block.
func parse(decoder *block.Decoder, b Block) (*block.Summary, error) {
	summary, err := decoder.ParseSummary(b.Summary)
	if err == nil && (summary.First != b.First || summary.Last != b.Last || summary.Rows != b.Rows) {
		err = fmt.Errorf("%w: its row in the table is about other entries", block.ErrDamaged)
	}
	if err != nil {
		return nil, fmt.Errorf("block %s: %w", b.ID, err)
	}
	return summary, nil
}

// pack encodes rows by ascending id, and makes sure that they can be decoded again.
func (s *sealing) pack(rows []Entry) (SealedBlock, error) {
	packed, err := s.encoder.Encode(rows)
	if err != nil {
		return SealedBlock{}, err
	}
	summary, err := s.decoder.ParseSummary(packed.Summary)
	if err != nil {
		return SealedBlock{}, fmt.Errorf("decode a new block: %w", err)
	}
	decoded, err := s.decoder.Entries(summary, packed.Data)
	if err != nil {
		return SealedBlock{}, fmt.Errorf("decode a new block: %w", err)
	}
	if len(decoded) != len(rows) {
		return SealedBlock{}, fmt.Errorf("a new block has %d entries, not %d", len(decoded), len(rows))
	}
	for i := range rows {
		decoded[i].WorkspaceID = rows[i].WorkspaceID
		if decoded[i] != rows[i] {
			return SealedBlock{}, fmt.Errorf("a new block has another entry than the row %s", rows[i].ID)
		}
	}
	return SealedBlock{
		Block: Block{ID: uuid.New(), First: packed.First, Last: packed.Last, Rows: packed.Rows, Summary: packed.Summary},
		Data:  packed.Data,
	}, nil
}
