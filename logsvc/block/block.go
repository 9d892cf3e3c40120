// Package block is the sealed form of request logs: up to MaxRows entries of one workspace and one UTC day, packed column by
// column. It does no I/O. docs/block-format.md specifies the bytes.
//
// A block is two values: a summary, which every search reads, and the data, of which a search reads the parts that it needs.
package block

import (
	"errors"

	"github.com/google/uuid"
)

// MaxRows is the most entries of one block.
const MaxRows = 65_536

// ErrDamaged is wrapped by every error about bytes that are not what Encode made.
var ErrDamaged = errors.New("damaged block")

// Span is a range of bytes of the data.
type Span struct {
	Offset, Length int
}

// Packed is an encoded block.
type Packed struct {
	First, Last uuid.UUID
	Rows        int
	Summary     []byte
	Data        []byte
}
