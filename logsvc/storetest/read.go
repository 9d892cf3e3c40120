package storetest

import (
	"bytes"
	"math/rand/v2"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/block"
)

var readSentences = []sentence{
	{"returns parts of the data of blocks, in the order of parts", readsParts},
	{"a part that reaches beyond the end of the data is cut", readCutsParts},
	{"ErrBlockGone: one of the blocks has been replaced or deleted", readOfGoneBlock},
	{"ErrBlockGone: a block of another workspace", readOfAnotherWorkspace},
	{"data may be large, and is any bytes", readsLargeData},
}

// partsOf returns parts of a block, given as pairs of offset and length.
func partsOf(b logsvc.SealedBlock, spans ...block.Span) (parts []logsvc.Part) {
	for _, span := range spans {
		parts = append(parts, logsvc.Part{Block: b.Block, Span: span})
	}
	return parts
}

// reads fails unless each part is the same as in the data.
func (f *fixture) reads(data map[uuid.UUID][]byte, parts ...logsvc.Part) {
	f.Helper()
	for i, got := range f.read(acme, parts...) {
		of := data[parts[i].ID]
		begin := min(parts[i].Offset, len(of))
		if want := of[begin:min(begin+parts[i].Length, len(of))]; !bytes.Equal(got, want) {
			f.Errorf("part %d of %d, %+v, has %d bytes, %.20q, want %d, %.20q",
				i, len(parts), parts[i].Span, len(got), got, len(want), want)
		}
	}
}

func readsParts(f *fixture) {
	calls := f.callsOfADay(4)
	one, two, other := blockOf(calls[0]), blockOf(calls[1]), blockOf(calls[2])
	one.Data, two.Data = []byte("0123456789"), []byte("abcdefghij")
	f.insert(acme, one, two)
	f.insert(globex, other)
	data := map[uuid.UUID][]byte{one.ID: one.Data, two.ID: two.Data}
	f.reads(data)
	for range 2 {
		parts := append(partsOf(two, block.Span{Offset: 3, Length: 4}, block.Span{Length: 1}),
			partsOf(one, block.Span{Offset: 9, Length: 1}, block.Span{Length: 10}, block.Span{Offset: 2, Length: 5})...)
		parts = append(parts, parts[0], parts[2], parts[0]) // back to the first block, and one part twice
		f.reads(data, parts...)
		one, two = two, one
	}
	var many []logsvc.Part
	for i := range 1000 {
		many = append(many, partsOf([]logsvc.SealedBlock{one, two}[i%2], block.Span{Offset: i % 7, Length: 1 + i%3})...)
	}
	f.reads(data, many...)
}

func readCutsParts(f *fixture) {
	b := blockOf(f.call(0))
	b.Data = []byte("0123456789")
	f.insert(acme, b)
	f.reads(map[uuid.UUID][]byte{b.ID: b.Data}, partsOf(b, block.Span{Offset: 8, Length: 4}, block.Span{Length: 1 << 30},
		block.Span{Offset: 10, Length: 1}, block.Span{Offset: 1 << 30, Length: 1}, block.Span{Offset: 5, Length: 2})...)
}

func readOfGoneBlock(f *fixture) {
	calls := f.callsOfADay(6)
	kept, replaced, deleted, unknown := blockOf(calls[0]), blockOf(calls[1:3]...), blockOf(calls[3]), blockOf(calls[4])
	f.insert(acme, kept, replaced, deleted)
	f.replace(acme, logsvc.Change{
		Delete: []logsvc.Block{replaced.Block, deleted.Block}, Insert: []logsvc.SealedBlock{blockOf(calls[1:3]...)},
	}, nil)
	f.gone(acme, replaced, deleted, unknown)
	for _, b := range []logsvc.SealedBlock{replaced, deleted, unknown} {
		parts := append(partsOf(kept, block.Span{Length: 1}), partsOf(b, block.Span{Length: 1})...)
		parts = append(parts, parts[0])
		if _, err := f.store.Read(f.Context(), f.scoped(acme), parts); !isError(err, logsvc.ErrBlockGone) {
			f.Errorf("Read of a block that is there and one that is not returned %v", err)
		}
	}
}

func readOfAnotherWorkspace(f *fixture) {
	b := blockOf(f.call(0))
	f.insert(acme, b)
	f.gone(globex, b)
}

func readsLargeData(f *fixture) {
	b := blockOf(f.call(0))
	b.Data = make([]byte, 2<<20)
	source := rand.NewChaCha8([32]byte{7})
	_, _ = source.Read(b.Data) // it never fails
	b.Summary = b.Data[:5000]
	f.insert(acme, b)
	f.reads(map[uuid.UUID][]byte{b.ID: b.Data}, partsOf(b, block.Span{Offset: 1 << 20, Length: 100},
		block.Span{Length: len(b.Data)}, block.Span{Offset: len(b.Data) - 3, Length: 7})...)
	f.stores(acme, nil, b)
}
