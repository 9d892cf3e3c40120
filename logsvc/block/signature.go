package block

import (
	"encoding/binary"
	"hash/crc32"
	"slices"

	"github.com/google/uuid"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(raw []byte) uint32 { return crc32.Checksum(raw, castagnoli) }

// maxHashes is the most hashes of a set. A set of more values has all.
const maxHashes = 1024

// hashSet is the hashes of the values of a field, ascending; nil = any value may be there.
type hashSet []uint32

func hashOf(value string) uint32 { return checksum([]byte(value)) }

func (h hashSet) mayHave(value string) bool {
	if h == nil {
		return true
	}
	_, found := slices.BinarySearch(h, hashOf(value))
	return found
}

// hashes returns the set of some values. It leaves out the zero value, which no filter looks for.
func hashes[T any](values []T, text func(T) string) hashSet {
	set := hashSet{}
	for _, value := range values {
		if t := text(value); t != "" {
			set = append(set, hashOf(t))
		}
	}
	slices.Sort(set)
	set = slices.Compact(set)
	if len(set) > maxHashes {
		return nil
	}
	return set
}

// keyText and classText are the forms in which keys and status classes are hashed.
func keyText(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return string(id[:])
}

func classText(class int) string { return string([]byte{byte(class)}) }

func (p *packer) hashes(h hashSet) {
	if h == nil {
		p.uvarint(0)
		return
	}
	p.uvarint(uint64(len(h)) + 1)
	for _, hash := range h {
		p.uint32(hash)
	}
}

func (u *unpacker) hashes() hashSet {
	n := u.count(maxHashes + 1)
	if n == 0 {
		return nil
	}
	h := make(hashSet, n-1)
	for i := range h {
		if h[i] = u.uint32(); i > 0 && h[i] <= h[i-1] {
			u.fail("hashes are not in order") // mayHave would not find some of them
		}
	}
	return h
}

// bigrams has a bit for each pair of character classes, which is set if the endpoints have such characters side by side. The
// NUL between endpoints counts as a character, so that each character is in a pair.
type bigrams [64]uint64

// classOf is the class of each byte. Class 0 is everything that has none of its own.
var classOf = func() (classes [256]uint8) {
	for i, c := range []byte("abcdefghijklmnopqrstuvwxyz0123456789/-_.~:@!$&'()*+,;=%?#{}[]|\\") {
		classes[c] = uint8(i + 1)
	}
	for c := 'A'; c <= 'Z'; c++ {
		classes[c] = classes[c+'a'-'A']
	}
	return classes
}()

// add adds text that begins and ends with NUL.
func (b *bigrams) add(text []byte) {
	before := uint8(0)
	for _, c := range text {
		class := classOf[c]
		b[before] |= 1 << class
		before = class
	}
}

// mayContain reports whether an endpoint can contain the needle.
func (b *bigrams) mayContain(needle string) bool {
	if len(needle) == 1 {
		return b[classOf[needle[0]]] != 0
	}
	for i := 1; i < len(needle); i++ {
		if b[classOf[needle[i-1]]]&(1<<classOf[needle[i]]) == 0 {
			return false
		}
	}
	return true
}

func (b *bigrams) pack(p *packer) {
	raw := make([]byte, 0, 8*len(b))
	for _, row := range b {
		raw = binary.LittleEndian.AppendUint64(raw, row)
	}
	p.run(raw)
}

func (b *bigrams) read(u *unpacker) {
	raw := u.run(8*len(b), nil)
	if u.err != nil {
		return
	}
	for i := range b {
		b[i] = binary.LittleEndian.Uint64(raw[8*i:])
	}
}
