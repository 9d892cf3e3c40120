package block

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/klauspost/compress/zstd"
)

// packer appends values to a section.
type packer struct {
	zstd  *zstd.Encoder
	out   []byte
	plane []byte // of integers
	frame []byte
}

func (p *packer) uvarint(v uint64) { p.out = binary.AppendUvarint(p.out, v) }
func (p *packer) bytes(raw []byte) { p.out = append(p.out, raw...) }
func (p *packer) text(text string) { p.uvarint(uint64(len(text))); p.out = append(p.out, text...) }
func (p *packer) uint32(v uint32)  { p.out = binary.LittleEndian.AppendUint32(p.out, v) }

// run packs bytes, whose number the reader knows.
func (p *packer) run(raw []byte) {
	p.frame = p.zstd.EncodeAll(raw, p.frame[:0])
	p.uvarint(uint64(len(p.frame)))
	p.bytes(p.frame)
}

// column packs integers, whose number the reader knows: how many bytes each takes, and then the lowest byte of all, the next
// byte of all, and so on. The bytes of one significance resemble each other.
func column[T uint8 | uint16 | uint32 | uint64](p *packer, values []T) {
	var all uint64
	for _, v := range values {
		all |= uint64(v)
	}
	width := (bits.Len64(all) + 7) / 8
	p.out = append(p.out, byte(width))
	p.plane = append(p.plane[:0], make([]byte, len(values))...)
	for shift := range width {
		for i, v := range values {
			p.plane[i] = byte(uint64(v) >> (8 * shift))
		}
		p.run(p.plane)
	}
}

// unpacker reads what a packer has made. After an error every read returns zero values.
type unpacker struct {
	zstd  *zstd.Decoder
	in    []byte
	plane []byte
	err   error
}

// fail keeps the first error.
func (u *unpacker) fail(format string, args ...any) {
	if u.err == nil {
		u.err = fmt.Errorf("%w: "+format, append([]any{ErrDamaged}, args...)...)
	}
}

// end returns the error, if there was one or if something is left to read.
func (u *unpacker) end() error {
	if len(u.in) != 0 {
		u.fail("%d bytes too many", len(u.in))
	}
	return u.err
}

// uvarint reads an integer of at most limit.
func (u *unpacker) uvarint(limit uint64) uint64 {
	if len(u.in) > 0 && u.in[0] < 0x80 && uint64(u.in[0]) <= limit && u.err == nil {
		v := u.in[0] // most are small
		u.in = u.in[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(u.in)
	if u.err != nil || n <= 0 || v > limit {
		u.fail("a number is cut or above %d", limit)
		return 0
	}
	u.in = u.in[n:]
	return v
}

// count reads an integer of at most limit.
func (u *unpacker) count(limit int) int { return int(u.uvarint(uint64(limit))) }

// bytes reads n bytes, and returns nil after an error.
func (u *unpacker) bytes(n int) []byte {
	if u.err != nil || n < 0 || n > len(u.in) {
		u.fail("%d bytes are cut", n)
		return nil
	}
	raw := u.in[:n:n]
	u.in = u.in[n:]
	return raw
}

func (u *unpacker) text() string { return string(u.bytes(u.count(len(u.in)))) }

// textOf returns a text as a part of all, which is everything that the unpacker began with.
func (u *unpacker) textOf(all string) string {
	length := len(u.bytes(u.count(len(u.in))))
	end := len(all) - len(u.in)
	return all[end-length : end]
}

func (u *unpacker) byte() byte {
	if raw := u.bytes(1); raw != nil {
		return raw[0]
	}
	return 0
}

func (u *unpacker) uint32() uint32 {
	if raw := u.bytes(4); raw != nil {
		return binary.LittleEndian.Uint32(raw)
	}
	return 0
}

// spare is room behind a buffer with which zstd decodes faster.
const spare = 32

// run reads n packed bytes, and returns nil after an error. It uses the memory of buffer if that is large enough.
func (u *unpacker) run(n int, buffer []byte) []byte { return u.unpack(u.packed(), n, buffer) }

// packed returns the packed form of a run.
func (u *unpacker) packed() []byte { return u.bytes(u.count(len(u.in))) }

// unpack returns the n bytes of a packed run, as run does.
func (u *unpacker) unpack(packed []byte, n int, buffer []byte) []byte {
	if cap(buffer) < n+spare {
		buffer = make([]byte, 0, n+spare)
	}
	raw, err := u.zstd.DecodeAll(packed, buffer[:0])
	if err != nil || len(raw) != n {
		u.fail("a frame has %d bytes of %d: %v", len(raw), n, err)
	}
	if u.err != nil {
		return nil
	}
	return raw
}

// readColumn reads n integers.
func readColumn[T uint8 | uint16 | uint32 | uint64](u *unpacker, n int) []T {
	values := make([]T, n)
	width := int(u.byte())
	if width > binary.Size(T(0)) {
		u.fail("integers of %d bytes", width)
		return values
	}
	for shift := range width {
		u.plane = u.run(n, u.plane)
		for i, b := range u.plane {
			values[i] |= T(b) << (8 * shift)
		}
	}
	return values
}
