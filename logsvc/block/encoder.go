package block

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Encoder packs entries. It is not safe for concurrent use, and holds memory: one serves many blocks.
type Encoder struct {
	zstd *zstd.Encoder
	// What follows is of one block.
	times      []uint32 // differences, in ms
	keys       dictionary[keySnapshot]
	agents     dictionary[agent]
	methods    dictionary[string]
	outcomes   dictionary[outcome]
	endpoints  dictionary[string]
	values     []byte
	text       []byte
	page       page
	tails      dictionary[uint64]
	statistics statistics
	summary    Summary
}

// NewEncoder returns an encoder.
func NewEncoder() *Encoder {
	// Frames have no checksum of their own, and are decoded as one piece.
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(maxChunk), zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true))
	if err != nil {
		panic(err) // the options are constants
	}
	return &Encoder{zstd: z}
}

// Encode packs 1 to MaxRows entries of one workspace and one UTC day, by ascending id, each id once. The workspace is not
// stored. Latencies lose what is below a microsecond.
func (e *Encoder) Encode(entries []Entry) (Packed, error) {
	if err := check(entries); err != nil {
		return Packed{}, err
	}
	e.reset(entries)
	before := millisecond(entries[0].ID)
	for i := range entries {
		at := millisecond(entries[i].ID)
		e.add(&entries[i], at-before)
		before = at
	}
	s := &e.summary
	*s = Summary{version: version, First: entries[0].ID, Last: entries[len(entries)-1].ID, Rows: len(entries)}
	p := &packer{zstd: e.zstd}
	e.packColumns(p)
	s.close(p)
	e.packText(p, e.endpoints.values)
	s.close(p)
	e.statistics.pack(p, millisecond(s.First))
	s.close(p)
	e.statistics.packKeys(p, millisecond(s.First))
	s.close(p)
	for start := 0; start < len(entries); start += pageRows {
		e.packPage(p, entries[start:min(start+pageRows, len(entries))])
		s.close(p)
	}
	e.sign(s)
	return Packed{First: s.First, Last: s.Last, Rows: s.Rows, Data: p.out, Summary: s.pack(&packer{zstd: e.zstd})}, nil
}

// check returns an error for entries that a block cannot have.
func check(entries []Entry) error {
	if len(entries) == 0 || len(entries) > MaxRows {
		return fmt.Errorf("a block of %d rows: it has 1 to %d", len(entries), MaxRows)
	}
	first, last := entries[0].ID, entries[len(entries)-1].ID
	for i := range entries {
		e := &entries[i]
		if i > 0 && bytes.Compare(entries[i-1].ID[:], e.ID[:]) >= 0 {
			return fmt.Errorf("the row %v follows %v", e.ID, entries[i-1].ID)
		}
		texts := len(e.KeyName) + len(e.KeyLast4) + len(e.ExternalID) + len(e.AgentType) + len(e.AgentID) + len(e.Method) +
			len(e.ErrorCode) + len(e.Cause)
		if texts > maxTexts || len(e.Endpoint) > maxEndpoint || strings.Contains(e.Endpoint, "\x00") {
			return fmt.Errorf("the row %v has texts of %d and an endpoint of %d bytes, or a NUL in it", e.ID, texts, len(e.Endpoint))
		}
	}
	if millisecond(last)-millisecond(first) > math.MaxUint32 {
		return fmt.Errorf("a block from %v to %v", first, last)
	}
	return nil
}

func (e *Encoder) reset(entries []Entry) {
	e.times = e.times[:0]
	e.statistics = statistics{}
	e.keys.reset()
	e.agents.reset()
	e.methods.reset()
	e.outcomes.reset()
	e.endpoints.reset(repeatedEndpoints(entries)...)
}

// repeatedEndpoints returns the endpoints that occur more than once, sorted: similar ones side by side compress better.
func repeatedEndpoints(entries []Entry) []string {
	counts := make(map[string]int, len(entries))
	for i := range entries {
		counts[entries[i].Endpoint]++
	}
	maps.DeleteFunc(counts, func(_ string, count int) bool { return count == 1 })
	return slices.Sorted(maps.Keys(counts))
}

// add adds an entry to the columns and the statistics.
func (e *Encoder) add(entry *Entry, sincePrevious uint64) {
	e.times = append(e.times, uint32(sincePrevious))
	e.keys.add(keySnapshot{entry.KeyID, entry.KeyName, entry.KeyLast4, entry.ExternalID})
	e.agents.add(agent{entry.AgentType, entry.AgentID})
	e.methods.add(entry.Method)
	e.outcomes.add(outcome{entry.Status, entry.ErrorCode, entry.Cause})
	e.endpoints.add(entry.Endpoint)
	e.statistics.add(entry)
}

// close ends the part that begins where the last one ended.
func (s *Summary) close(p *packer) {
	start := 0
	if len(s.parts) > 0 {
		start = s.Whole().Length
	}
	raw := p.out[start:]
	s.parts = append(s.parts, part{Span{start, len(raw)}, checksum(raw)})
}

// sign sets what MayMatch needs.
func (e *Encoder) sign(s *Summary) {
	s.upperCase = bytes.ContainsAny(e.text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	s.classes = hashes(e.outcomes.values, func(o outcome) string { return classText(o.status / 100) })
	s.keys = hashes(e.keys.values, func(k keySnapshot) string { return keyText(k.id) })
	s.codes = hashes(e.outcomes.values, func(o outcome) string { return o.code })
	s.agentTypes = hashes(e.agents.values, func(a agent) string { return a.kind })
	s.agentIDs = hashes(e.agents.values, func(a agent) string { return a.id })
	s.endpoints.add(e.text)
}

// millisecond returns the Unix time of an id.
func millisecond(id [16]byte) uint64 { return binary.BigEndian.Uint64(id[:]) >> 16 }
