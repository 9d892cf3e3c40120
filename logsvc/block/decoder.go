package block

import (
	"sync"

	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"
)

// Decoder unpacks what an Encoder has made. It is safe for concurrent use. Its memory is bounded by the size of a block that
// Encode can make, whatever bytes it gets.
type Decoder struct {
	zstd    *zstd.Decoder
	buffers sync.Pool // of *[]byte
}

// NewDecoder returns a decoder.
func NewDecoder() *Decoder {
	// As many calls as there are CPUs decode at once, the others wait. Every call says how much it can take.
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderLowmem(true),
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err) // the options are constants
	}
	return &Decoder{zstd: z}
}

func (d *Decoder) unpacker(raw []byte) *unpacker { return &unpacker{zstd: d.zstd, in: raw} }

// buffer returns memory for n bytes.
func (d *Decoder) buffer(n int) []byte {
	if b, ok := d.buffers.Get().(*[]byte); ok && cap(*b) >= n+spare {
		return *b
	}
	return make([]byte, 0, n+spare)
}

func (d *Decoder) giveBack(buffer []byte) { d.buffers.Put(&buffer) }

// open returns the bytes of a part, if they are right.
func (d *Decoder) open(s *Summary, number int, raw []byte) (*unpacker, error) {
	u, want := d.unpacker(raw), s.parts[number]
	if len(raw) != want.Length || checksum(raw) != want.checksum {
		u.fail("the checksum of part %d is wrong", number)
	}
	return u, u.err
}

// Counts unpacks the counts of all calls of a block.
func (d *Decoder) Counts(s *Summary, raw []byte) (Counts, error) {
	u, err := d.open(s, partStatistics, raw)
	if err != nil {
		return nil, err
	}
	return readCounts(u, s.Rows, millisecond(s.First))
}

// KeyCounts unpacks the counts of the calls of one key.
func (d *Decoder) KeyCounts(s *Summary, raw []byte, keyID uuid.UUID) (Counts, error) {
	u, err := d.open(s, partKeys, raw)
	if err != nil {
		return nil, err
	}
	return readKey(u, s.Rows, millisecond(s.First), keyID)
}

// Keys unpacks the uses of all keys of a block.
func (d *Decoder) Keys(s *Summary, raw []byte) (Keys, error) {
	u, err := d.open(s, partKeys, raw)
	if err != nil {
		return nil, err
	}
	return readKeys(u, s.Rows, millisecond(s.First))
}

// Entries unpacks the whole data, by ascending id. Their WorkspaceID is empty.
func (d *Decoder) Entries(s *Summary, data []byte) ([]Entry, error) {
	u := d.unpacker(nil)
	if len(data) != s.Whole().Length {
		u.fail("%d bytes of %d", len(data), s.Whole().Length)
		return nil, u.err
	}
	opened := make([]*unpacker, len(s.parts))
	for i, part := range s.parts {
		var err error
		if opened[i], err = d.open(s, i, data[part.Offset:][:part.Length]); err != nil {
			return nil, err
		}
	}
	c, err := readColumns(opened[partColumns], s.Rows)
	if err != nil {
		return nil, err
	}
	t, err := readText(opened[partText], d, c.endpointCount)
	if err != nil {
		return nil, err
	}
	endpoints, err := t.all()
	if err != nil {
		return nil, err
	}
	if len(endpoints) != c.endpointCount {
		u.fail("%d endpoints of %d", len(endpoints), c.endpointCount)
		return nil, u.err
	}
	entries, first := make([]Entry, s.Rows), millisecond(s.First)
	for number := range s.pages() {
		g, err := readPage(opened[s.page(number)], s.rowsOf(number))
		if err != nil {
			return nil, err
		}
		for i := range s.rowsOf(number) {
			row := number*pageRows + i
			e := &entries[row]
			e.Endpoint = endpoints[c.endpoints[row]]
			c.fill(e, row, first)
			g.fill(e, i)
		}
	}
	return entries, nil
}
