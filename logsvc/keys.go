package logsvc

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc/block"
)

// Keys returns the uses of every key that has entries in the range, each call counted once, as they are known at one moment.
// When a key was used first and last stays as it was once known, should a later record name another key.
func (s *Searcher) Keys(ctx context.Context, workspaceID string, ids Range) (keys block.Keys, unreadable []Range, err error) {
	unreadable, err = s.count(ctx, workspaceID, ids, func() counter {
		keys = block.Keys{}
		return &keyCounter{decoder: s.decoder, keys: keys}
	})
	if err != nil {
		return nil, nil, fmt.Errorf("find the keys of %s: %w", workspaceID, err)
	}
	return keys, unreadable, nil
}

// keyCounter is the counter of keys.
type keyCounter struct {
	decoder *block.Decoder
	keys    block.Keys
}

func (c *keyCounter) filter() Filter                   { return Filter{} }
func (c *keyCounter) add(g block.Group)                { c.keys.Add(g) }
func (c *keyCounter) span(s *block.Summary) block.Span { return s.KeysSpan() }

func (c *keyCounter) unpack(s *block.Summary, raw []byte) (add func(), err error) {
	keys, err := c.decoder.Keys(s, raw)
	return func() { c.keys.Merge(keys) }, err
}

// UsedKey is a key that has entries.
type UsedKey struct {
	ID uuid.UUID
	*block.KeyUse
}

// Position orders keys: those that were used last have the highest. It is the time of the last use, followed by 10 bytes of the
// key's id, most of which are random.
func (k UsedKey) Position() (position uuid.UUID) {
	position = k.ID
	binary.BigEndian.PutUint64(position[:], uint64(k.LastUse)<<16|uint64(binary.BigEndian.Uint16(k.ID[6:])))
	return position
}

// KeyPage is one page of keys.
type KeyPage struct {
	// Keys are by descending position.
	Keys []UsedKey
	// More is set if there are keys below the last one.
	More bool
}

// ListKeys returns the first keys below a position that have entries of the window, at most limit. It waits for its turn as List
// does, and counts the calls of all keys for each page. A key that is used between two pages is above the second one.
func (s *Service) ListKeys(ctx context.Context, workspaceID string, below uuid.UUID, limit int) (KeyPage, error) {
	done, err := s.turns.take(ctx, workspaceID)
	if err != nil {
		return KeyPage{}, fmt.Errorf("list the keys of request logs: %w", err)
	}
	defer done()
	keys, _, err := s.searcher.Keys(ctx, workspaceID, Range{From: s.window().From, To: uuid.Max})
	if err != nil {
		return KeyPage{}, err
	}
	return pageOfKeys(keys, below, limit), nil
}

func pageOfKeys(keys block.Keys, position uuid.UUID, limit int) KeyPage {
	var rest []UsedKey
	for id, use := range keys {
		if k := (UsedKey{id, use}); below(k.Position(), position) {
			rest = append(rest, k)
		}
	}
	slices.SortFunc(rest, func(a, b UsedKey) int { return compare(b.Position(), a.Position()) })
	n := min(limit, len(rest))
	return KeyPage{Keys: rest[:n], More: n < len(rest)}
}
