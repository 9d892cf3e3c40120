package migrate

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
)

// Sum is what is compared of rows in an order: how many there are, and a SHA-256 over all that is in them.
type Sum struct {
	Count  int64
	Digest [sha256.Size]byte
}

// add takes one more row into account, whatever fields its type has.
func (s *Sum) add(row any) error {
	text, err := json.Marshal(row)
	if err != nil {
		return fmt.Errorf("sum a row: %w", err)
	}
	// The digest so far has one length, so that no two sequences of rows make the same bytes.
	s.Digest = sha256.Sum256(append(s.Digest[:], text...))
	s.Count++
	return nil
}

// Pair is what both sides hold of one thing.
type Pair struct {
	// What is Keys or RequestLogs.
	What        string
	WorkspaceID string
	From, To    Sum
}

// The values of Pair.What.
const (
	Keys        = "keys"
	RequestLogs = "request logs"
)

// Equal tells whether the two sides hold the same.
func (p Pair) Equal() bool { return p.From == p.To }
