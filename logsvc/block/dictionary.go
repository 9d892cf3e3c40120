package block

// dictionary numbers the distinct values of a column: first those that are known before the rows, then the others by first
// occurrence. The index of a row is the number of its value plus 1, or 0 for the next new value: a column of unique values has
// an index of zeros.
type dictionary[T comparable] struct {
	numbers map[T]uint32 // plus 1
	values  []T
	known   int
	index   []uint32
}

// reset removes all rows. Known has no value twice.
func (d *dictionary[T]) reset(known ...T) {
	if d.numbers == nil {
		d.numbers = map[T]uint32{}
	}
	clear(d.numbers)
	clear(d.values)
	d.values, d.known, d.index = append(d.values[:0], known...), len(known), d.index[:0]
	for number, value := range known {
		d.numbers[value] = uint32(number) + 1
	}
}

// add adds the next row.
func (d *dictionary[T]) add(value T) {
	number := d.numbers[value]
	if d.index = append(d.index, number); number == 0 {
		d.values = append(d.values, value)
		d.numbers[value] = uint32(len(d.values))
	}
}

func (d *dictionary[T]) pack(p *packer) {
	p.uvarint(uint64(d.known))
	column(p, d.index)
}

// readNumbers reads what pack has made of n rows. It returns the number of each row's value, and how many values there are.
func readNumbers(u *unpacker, n int) (numbers []uint32, values int) {
	next := uint32(u.count(n))
	numbers = readColumn[uint32](u, n)
	for row, index := range numbers {
		if index > next || index == 0 && next == uint32(n) {
			u.fail("a row has a value that does not exist")
			return numbers, 0
		}
		if index == 0 {
			next++
			index = next
		}
		numbers[row] = index - 1
	}
	return numbers, int(next)
}
