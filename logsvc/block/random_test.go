package block

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
)

// randomBlock returns rows of every shape that a block can have: few or many distinct values, texts of any characters and up to
// the contract's limits, spread over a day or all in one millisecond.
func randomBlock(r *rand.Rand, rows int) []Entry {
	ids := randomIDs(r, rows)
	pick := func(texts []string) string { return texts[r.IntN(len(texts))] }
	keys := make([]Entry, 1+r.IntN(30))
	for i := range keys {
		k := &keys[i]
		k.KeyID, k.KeyName, k.KeyLast4, k.ExternalID = randomUUID(r), randomText(r, 100), randomText(r, 4), randomText(r, 60)
		if r.IntN(4) == 0 {
			keys[i].KeyID = keys[r.IntN(i+1)].KeyID // another snapshot of the same key
		}
	}
	keys[0] = Entry{}
	agents, types := randomTexts(r, 1+r.IntN(30), 255), randomTexts(r, 1+r.IntN(4), 15)
	endpoints, codes := randomTexts(r, 1+r.IntN(200), 1+r.IntN(80)), []string{"", "", "scope_denied", "agent_denied", "expired"}
	unique, shared := r.IntN(3), r.IntN(2) == 0
	entries := make([]Entry, rows)
	for i := range entries {
		e := &entries[i]
		*e = keys[r.IntN(len(keys))]
		e.ID, e.CallCount = ids[i], 1
		e.AgentType, e.AgentID, e.Method = pick(types), pick(agents), pick([]string{"", "GET", "POST", "x"})
		e.Endpoint = pick(endpoints)
		if r.IntN(3) < unique {
			e.Endpoint, e.AgentID = randomText(r, 50), randomText(r, 20)
		}
		e.Status = []int{0, 200, 204, 301, 403, 404, 500, 599, 100}[r.IntN(9)]
		e.ErrorCode, e.Cause = pick(codes), pick([]string{"", "", "no_agent"})
		if r.IntN(3) > 0 {
			e.Reported, e.Latency = true, time.Duration(r.Int64N(int64(r.Int64N(24*3600*1e6)+1)))*time.Microsecond
		}
		e.FromReport = r.IntN(5) == 0
		if shared && r.IntN(4) == 0 {
			e.CallCount = []int{2, 1000, math.MaxInt32}[r.IntN(3)]
		}
	}
	return entries
}

// randomIDs returns ascending ids of one day.
func randomIDs(r *rand.Rand, n int) []uuid.UUID {
	spread := []int64{1, 50, 86_400_000}[r.IntN(3)]
	start := day.Add(time.Duration(r.Int64N(86_400_001-spread)) * time.Millisecond)
	tails := make([]uuid.UUID, r.IntN(5))
	for i := range tails {
		tails[i] = randomUUID(r)
	}
	ids := map[uuid.UUID]bool{}
	for len(ids) < n {
		id := uuid7.New(start.Add(time.Duration(r.Int64N(spread)) * time.Millisecond))
		copy(id[8:], slices.Concat([]byte{0x80 | byte(r.IntN(64))}, random7(r)))
		if len(tails) > 0 && r.IntN(100) > 0 {
			tail := tails[r.IntN(len(tails))]
			copy(id[8:], tail[8:])
			id[6], id[7] = 0x70|byte(r.IntN(16)), byte(r.IntN(256))
			if spread*int64(len(tails))*1000 < int64(n) {
				id[9] = byte(r.IntN(256)) // there are not enough counters
			}
		}
		ids[id] = true
	}
	sorted := make([]uuid.UUID, 0, n)
	for id := range ids {
		sorted = append(sorted, id)
	}
	slices.SortFunc(sorted, compare)
	return sorted
}

func random7(r *rand.Rand) []byte {
	id := randomUUID(r)
	return id[9:]
}

func randomUUID(r *rand.Rand) (id uuid.UUID) {
	for i := range id {
		id[i] = byte(r.Uint32())
	}
	return id
}

func randomTexts(r *rand.Rand, n, longest int) []string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = randomText(r, longest)
	}
	return texts
}

// randomText returns a text of at most so many characters.
func randomText(r *rand.Rand, longest int) string {
	alphabet := [][]rune{
		[]rune("abcdefghijklmnopqrstuvwxyz/0123456789"), []rune("0123456789abcdef"), []rune("aA/"),
		[]rune("ABCXYZabcxyz/-_.~%+ \"<>^`"),
		[]rune("äÄßéÉ世界😀\u0130\u017f\u212a\ufffd\u007f\u0001aB/"),
	}[r.IntN(5)]
	length := r.IntN(longest + 1)
	switch r.IntN(20) {
	case 0:
		length = 0
	case 1:
		length = longest
	}
	var b strings.Builder
	for range length {
		b.WriteRune(alphabet[r.IntN(len(alphabet))])
	}
	return b.String()
}

// randomFilter returns a filter that often selects some of the entries.
func randomFilter(r *rand.Rand, entries []Entry) Filter {
	var f Filter
	e := &entries[r.IntN(len(entries))]
	if r.IntN(3) == 0 {
		f.StatusClass = []int{2, 4, 5}[r.IntN(3)]
	}
	if r.IntN(8) == 0 {
		f.InProgress = true
	}
	if r.IntN(6) == 0 {
		f.Method = e.Method
	}
	if r.IntN(4) == 0 {
		f.KeyID = e.KeyID
	}
	if r.IntN(5) == 0 {
		f.ErrorCode = e.ErrorCode
	}
	if r.IntN(5) == 0 {
		f.AgentType = e.AgentType
	}
	if r.IntN(5) == 0 {
		f.AgentID = e.AgentID
	}
	if r.IntN(2) == 0 {
		f.Endpoint = randomNeedle(r, e.Endpoint)
	}
	if r.IntN(20) == 0 {
		f.KeyID, f.AgentID = randomUUID(r), "absent"
	}
	return f
}

// randomNeedle returns a part of the text in either case, or something else.
func randomNeedle(r *rand.Rand, text string) string {
	characters := []rune(text)
	if len(characters) == 0 || r.IntN(5) == 0 {
		return randomText(r, 3)
	}
	start := r.IntN(len(characters))
	needle := string(characters[start:min(len(characters), start+1+r.IntN(8))])
	if r.IntN(2) == 0 {
		needle = Fold(needle)
	}
	if r.IntN(4) == 0 {
		needle = strings.Map(func(c rune) rune {
			if 'a' <= c && c <= 'z' {
				return c - 'a' + 'A'
			}
			return c
		}, needle)
	}
	return needle
}
