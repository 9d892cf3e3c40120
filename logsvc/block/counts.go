package block

import (
	"maps"
	"slices"

	"github.com/google/uuid"
)

// statistics count the rows of one block while it is encoded, by key: nil = no key was proved.
type statistics map[uuid.UUID]*keyStatistics

type keyStatistics struct {
	KeyUse  // without classes
	tallies map[HourClassCode]*sparseTally
}

// add counts the next row; they come by ascending time.
func (s statistics) add(e *Entry) {
	g := GroupOf(e)
	k := s[g.KeyID]
	if k == nil {
		k = &keyStatistics{KeyUse: KeyUse{FirstUse: g.FirstUse}, tallies: map[HourClassCode]*sparseTally{}}
		s[g.KeyID] = k
	}
	k.setNewest(g.LastUse, g.KeyName, g.KeyLast4)
	tallyOf(k.tallies, g.HourClassCode).add(g.Bucket, g.Calls)
}

func tallyOf(tallies map[HourClassCode]*sparseTally, by HourClassCode) *sparseTally {
	t := tallies[by]
	if t == nil {
		t = &sparseTally{}
		tallies[by] = t
	}
	return t
}

// pack packs the counts of all rows. The block begins at first, in Unix milliseconds.
func (s statistics) pack(p *packer, first uint64) {
	all := map[HourClassCode]*sparseTally{}
	for _, k := range s {
		for by, t := range k.tallies {
			tallyOf(all, by).merge(t)
		}
	}
	c := newTallies(first)
	c.addAll(all)
	c.pack(p)
}

// packKeys packs the counts of each key.
func (s statistics) packKeys(p *packer, first uint64) {
	var values packer
	var firstUses, lastUses, sizes []uint32
	c := newTallies(first)
	for _, id := range slices.SortedFunc(maps.Keys(s), compare) {
		if id == uuid.Nil {
			continue
		}
		k := s[id]
		values.bytes(id[:])
		values.text(k.Name)
		values.text(k.Last4)
		firstUses = append(firstUses, uint32(uint64(k.FirstUse)-first))
		lastUses = append(lastUses, uint32(k.LastUse-k.FirstUse))
		sizes = append(sizes, uint32(len(k.tallies)))
		c.addAll(k.tallies)
	}
	p.uvarint(uint64(len(sizes)))
	p.uvarint(uint64(len(values.out)))
	p.run(values.out)
	column(p, firstUses)
	column(p, lastUses)
	column(p, sizes)
	c.pack(p)
}

// readCounts reads the counts of a block with at most so many rows.
func readCounts(u *unpacker, rows int, first uint64) (Counts, error) {
	c, err := readTallies(u, rows, first)
	if err != nil {
		return nil, err
	}
	counts := Counts{}
	c.addTo(counts, 0, len(c.hours))
	return counts, nil
}

// readKeys reads the uses of all keys of a block with at most so many rows.
func readKeys(u *unpacker, rows int, first uint64) (Keys, error) {
	k := readKeyTable(u, rows)
	c, err := readTallies(u, rows, first)
	if err == nil {
		err = k.check(u, c)
	}
	if err != nil {
		return nil, err
	}
	keys, uses := make(Keys, len(k.ids)), make([]KeyUse, len(k.ids))
	classes := make([]ClassCalls, len(c.hours)) // enough for all keys: one allocation takes less time than many
	number, bucket := 0, 0
	for i, id := range k.ids {
		use, end := &uses[i], number+int(k.sizes[i])
		use.Name, use.Last4, use.FirstUse = k.names[i], k.last4s[i], int64(first)+int64(k.firstUses[i])
		use.LastUse, use.Classes = use.FirstUse+int64(k.lastUses[i]), classes[number:number:end]
		for range k.sizes[i] {
			calls := int64(c.unreported[number])
			for _, n := range c.calls[bucket:][:c.sizes[number]] {
				calls += int64(n)
			}
			use.add(ClassCalls{c.outcomeValues[c.outcomes.index[number]].class, calls})
			bucket += int(c.sizes[number])
			number++
		}
		keys[id] = use
	}
	return keys, nil
}

// readKey reads the counts of one key.
func readKey(u *unpacker, rows int, first uint64, id uuid.UUID) (Counts, error) {
	k := readKeyTable(u, rows)
	c, err := readTallies(u, rows, first)
	if err == nil {
		err = k.check(u, c)
	}
	if err != nil {
		return nil, err
	}
	counts, from := Counts{}, 0
	for i, size := range k.sizes {
		if k.ids[i] == id {
			c.addTo(counts, from, from+int(size))
		}
		from += int(size)
	}
	return counts, nil
}

// keyTable is what a block has of its keys but their tallies.
type keyTable struct {
	ids                 []uuid.UUID
	names, last4s       []string
	firstUses, lastUses []uint32
	sizes               []uint32 // how many tallies each key has
}

func readKeyTable(u *unpacker, rows int) *keyTable {
	n := u.count(rows)
	length := u.count(n * (maxTexts + 64))
	values := unpacker{in: u.run(length, nil), err: u.err}
	k := &keyTable{ids: make([]uuid.UUID, n), names: make([]string, n), last4s: make([]string, n)}
	texts := string(values.in) // of which the texts are parts
	for i := range n {
		copy(k.ids[i][:], values.bytes(16))
		k.names[i], k.last4s[i] = values.textOf(texts), values.textOf(texts)
	}
	u.err = values.end()
	k.firstUses, k.lastUses, k.sizes = readColumn[uint32](u, n), readColumn[uint32](u, n), readColumn[uint32](u, n)
	return k
}

// check makes sure that the keys have as many tallies as there are.
func (k *keyTable) check(u *unpacker, c *tallies) error {
	total := 0
	for _, size := range k.sizes {
		total += int(size)
	}
	if total != len(c.hours) {
		u.fail("%d tallies of keys instead of %d", len(c.hours), total)
	}
	return u.err
}
