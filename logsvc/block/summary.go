package block

import (
	"encoding/binary"

	"github.com/google/uuid"
)

// version is the first byte of a summary. A reader also knows version 1, which has other statistics and no partKeys, and
// refuses others.
const version = 2

// The parts of the data, in order.
const (
	partColumns = iota
	partText
	partStatistics
	partKeys
	partPages // and those after it
)

// Summary is what a reader knows of a block before it reads the data.
type Summary struct {
	First, Last uuid.UUID
	Rows        int

	version byte
	// upperCase is set if an endpoint has ASCII letters in upper case.
	upperCase bool
	parts     []part
	// What rows have in some fields.
	classes, keys, codes, agentTypes, agentIDs hashSet
	endpoints                                  bigrams
}

// part is a range of the data that is read and checked as one.
type part struct {
	Span
	checksum uint32
}

func (s *Summary) pack(p *packer) []byte {
	p.out = append(p.out[:0], s.version)
	p.bytes(s.First[:])
	p.bytes(s.Last[:])
	p.uvarint(uint64(s.Rows))
	upperCase := byte(0)
	if s.upperCase {
		upperCase = 1
	}
	p.out = append(p.out, upperCase)
	for _, part := range s.parts {
		p.uvarint(uint64(part.Length))
		p.uint32(part.checksum)
	}
	for _, set := range s.sets() {
		p.hashes(*set)
	}
	s.endpoints.pack(p)
	p.uint32(checksum(p.out))
	return p.out
}

func (s *Summary) sets() []*hashSet {
	return []*hashSet{&s.classes, &s.keys, &s.codes, &s.agentTypes, &s.agentIDs}
}

// maxPart is the most bytes of a part: what is not compressed takes a few bytes more than its values.
const maxPart = MaxRows * (maxEndpoint + 128)

// ParseSummary parses the summary of a block.
func (d *Decoder) ParseSummary(raw []byte) (*Summary, error) {
	u := d.unpacker(raw)
	s := &Summary{version: u.byte()}
	if s.version != 1 && s.version != version && u.err == nil {
		u.fail("version %d", s.version)
	}
	if body := len(raw) - 4; body < 1 || binary.LittleEndian.Uint32(raw[body:]) != checksum(raw[:body]) {
		u.fail("the checksum of a summary is wrong")
	} else {
		u.in = raw[1:body]
	}
	copy(s.First[:], u.bytes(16))
	copy(s.Last[:], u.bytes(16))
	if s.Rows = u.count(MaxRows); s.Rows == 0 {
		u.fail("a block without rows")
	}
	s.upperCase = u.byte() != 0
	s.parts = make([]part, s.page(s.pages()))
	offset := 0
	for i := range s.parts {
		s.parts[i] = part{Span{offset, u.count(maxPart)}, u.uint32()}
		offset += s.parts[i].Length
	}
	for _, set := range s.sets() {
		*set = u.hashes()
	}
	s.endpoints.read(u)
	if err := u.end(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Summary) pages() int { return (s.Rows + pageRows - 1) / pageRows }

// rowsOf returns the number of rows of a page.
func (s *Summary) rowsOf(page int) int { return min(pageRows, s.Rows-page*pageRows) }

// Whole returns the span of all data.
func (s *Summary) Whole() Span {
	last := s.parts[len(s.parts)-1]
	return Span{Length: last.Offset + last.Length}
}

// page returns the number of the part that is a page.
func (s *Summary) page(number int) int {
	if s.version == 1 {
		return partKeys + number
	}
	return partPages + number
}

// HasCounts reports whether the calls of the block are counted in it. They are not in blocks of version 1.
func (s *Summary) HasCounts() bool { return s.version > 1 }

// CountsSpan returns where Counts are, KeysSpan where Keys and KeyCounts are, if the block has counts.
func (s *Summary) CountsSpan() Span { return s.parts[partStatistics].Span }
func (s *Summary) KeysSpan() Span   { return s.parts[partKeys].Span }

// MayMatch reports whether the block can have an entry that the filter selects. If it is false, there is none.
func (s *Summary) MayMatch(f Filter) bool {
	return (f.StatusClass == 0 || s.classes.mayHave(classText(f.StatusClass))) &&
		(!f.InProgress || s.version == 1 || s.classes.mayHave(classText(0))) && // version 1 leaves out class 0
		(f.KeyID == uuid.Nil || s.keys.mayHave(keyText(f.KeyID))) &&
		(f.ErrorCode == "" || s.codes.mayHave(f.ErrorCode)) &&
		(f.AgentType == "" || s.agentTypes.mayHave(f.AgentType)) &&
		(f.AgentID == "" || s.agentIDs.mayHave(f.AgentID)) &&
		s.endpoints.mayContain(f.Endpoint)
}
