package block

import "slices"

// dictionary numbers the distinct values of a column. Values that occur more than once come first. The index of a row is the
// number of its value plus 1, or 0 for the next value that occurs once: a column of unique values has an index of zeros.
type dictionary[T comparable] struct {
	seen   map[T]uint32 // position in values
	values []T          // by first occurrence
	counts []int
	rows   []uint32 // position in values, of each row
}

func (d *dictionary[T]) reset() {
	if d.seen == nil {
		d.seen = map[T]uint32{}
	}
	clear(d.seen)
	clear(d.values)
	d.values, d.counts, d.rows = d.values[:0], d.counts[:0], d.rows[:0]
}

// add adds the next row, and returns the position of its value in values.
func (d *dictionary[T]) add(value T) uint32 {
	at, ok := d.seen[value]
	if !ok {
		at = uint32(len(d.values))
		d.seen[value] = at
		d.values, d.counts = append(d.values, value), append(d.counts, 0)
	}
	d.counts[at]++
	d.rows = append(d.rows, at)
	return at
}

// pack writes the index of the rows, and returns the values by number. The order of those that occur more than once is free:
// compare, if there is one, chooses it.
func (d *dictionary[T]) pack(p *packer, compare func(a, b T) int) []T {
	numbered := make([]T, 0, len(d.values))
	for at, value := range d.values {
		if d.counts[at] > 1 {
			numbered = append(numbered, value)
		}
	}
	repeated := len(numbered)
	if compare != nil {
		slices.SortFunc(numbered, compare)
	}
	index := make([]uint32, len(d.values))
	for number, value := range numbered {
		index[d.seen[value]] = uint32(number) + 1
	}
	for at, value := range d.values {
		if d.counts[at] == 1 {
			numbered = append(numbered, value)
		}
	}
	for row, at := range d.rows {
		d.rows[row] = index[at]
	}
	p.uvarint(uint64(repeated))
	p.uvarint(uint64(len(numbered) - repeated))
	column(p, d.rows)
	return numbered
}

// readNumbers reads the index of n rows. It returns the number of each row's value, and how many values there are.
func readNumbers(u *unpacker, n int) (numbers []uint32, values int) {
	repeated := u.count(n)
	values = repeated + u.count(n-repeated)
	numbers = readColumn[uint32](u, n)
	next := uint32(repeated)
	for row, index := range numbers {
		switch {
		case index > uint32(repeated) || index == 0 && next == uint32(values):
			u.fail("a row has a value that does not exist")
			return numbers, 0
		case index == 0:
			numbers[row] = next
			next++
		default:
			numbers[row] = index - 1
		}
	}
	return numbers, values
}
