package block

import (
	"bytes"
	"strings"
)

// maxChunk is the most bytes of endpoints that are compressed together: a search holds one chunk.
const maxChunk = 1 << 20

// packText packs the endpoints by number, each with a NUL behind it.
func (e *Encoder) packText(p *packer, endpoints []string) {
	all := e.text[:0]
	type chunk struct{ count, end int }
	chunks := []chunk{{}}
	start := 0
	for _, endpoint := range endpoints {
		last := &chunks[len(chunks)-1]
		if len(all)-start+len(endpoint)+1 > maxChunk {
			start = len(all)
			chunks = append(chunks, chunk{})
			last = &chunks[len(chunks)-1]
		}
		all = append(append(all, endpoint...), 0)
		last.count, last.end = last.count+1, len(all)
	}
	e.text = all
	p.uvarint(uint64(len(chunks)))
	start = 0
	for _, c := range chunks {
		p.uvarint(uint64(c.count))
		p.uvarint(uint64(c.end - start))
		p.run(all[start:c.end])
		start = c.end
	}
}

// text is the endpoints by number, in chunks of which one is unpacked at a time: it is the largest part of a block.
type text struct {
	decoder *Decoder
	chunks  []chunk
	count   int
}

type chunk struct {
	first, count, length int
	packed               []byte
}

// readText reads the text of at most n endpoints.
func readText(u *unpacker, d *Decoder, n int) (*text, error) {
	t := &text{decoder: d}
	for range u.count(n) {
		c := chunk{first: t.count, count: u.count(n - t.count)}
		c.length = u.count(min(maxChunk, c.count*(maxEndpoint+1)))
		c.packed = u.packed()
		t.count += c.count
		t.chunks = append(t.chunks, c)
	}
	return t, u.end()
}

// use calls do with the bytes of a chunk, which are valid during the call.
func (t *text) use(c chunk, do func(raw []byte)) error {
	buffer := t.decoder.buffer(c.length)
	defer t.decoder.giveBack(buffer)
	u := t.decoder.unpacker(nil)
	raw := u.unpack(c.packed, c.length, buffer)
	if u.err == nil && (bytes.Count(raw, nul) != c.count || !bytes.HasSuffix(raw, nul)) {
		u.fail("a chunk of text does not have %d endpoints", c.count)
	}
	if u.err == nil {
		do(raw)
	}
	return u.err
}

var nul = []byte{0}

// find returns for each endpoint whether it contains the needle, which is folded; nil = none does. Endpoints have to be
// folded if they have upper case.
func (t *text) find(needle string, upperCase bool) (found []bool, err error) {
	for _, c := range t.chunks {
		err := t.use(c, func(hay []byte) {
			if upperCase {
				fold(hay)
			}
			for endpoint := c.first; ; endpoint++ {
				at := bytes.Index(hay, []byte(needle))
				if at < 0 {
					return
				}
				if found == nil {
					found = make([]bool, t.count)
				}
				endpoint += bytes.Count(hay[:at], nul)
				found[endpoint] = true
				hay = hay[at:]
				hay = hay[bytes.IndexByte(hay, 0)+1:]
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// fold is Fold in place.
func fold(text []byte) {
	for i, b := range text {
		if 'A' <= b && b <= 'Z' {
			text[i] = b + 'a' - 'A'
		}
	}
}

// get returns the endpoints with the numbers, which are ascending.
func (t *text) get(numbers []uint32) (map[uint32]string, error) {
	endpoints := make(map[uint32]string, len(numbers))
	for _, c := range t.chunks {
		if len(numbers) == 0 || int(numbers[0]) >= c.first+c.count {
			continue
		}
		err := t.use(c, func(raw []byte) {
			for endpoint := uint32(c.first); len(raw) > 0 && len(numbers) > 0; endpoint++ {
				end := bytes.IndexByte(raw, 0)
				if endpoint == numbers[0] {
					endpoints[endpoint], numbers = string(raw[:end]), numbers[1:]
				}
				raw = raw[end+1:]
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return endpoints, nil
}

// all returns all endpoints by number.
func (t *text) all() ([]string, error) {
	endpoints := make([]string, 0, t.count)
	for _, c := range t.chunks {
		err := t.use(c, func(raw []byte) {
			for rest := string(raw); rest != ""; {
				endpoint, after, _ := strings.Cut(rest, "\x00")
				endpoints, rest = append(endpoints, endpoint), after
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return endpoints, nil
}
