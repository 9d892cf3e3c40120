package block

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
)

var day = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)

// traffic generates rows of one workspace like those of the bench: 20 keys and agents, 5,000 common endpoints, 30 % unique ones.
type traffic struct {
	r         *rand.Rand
	keys      []Entry
	agents    []string
	endpoints []string
	tails     []uint64 // of the processes that make counter ids; nil = random ids
	last      uuid.UUID
}

func newTraffic(seed uint64, counterIDs bool) *traffic {
	g := &traffic{r: rand.New(rand.NewPCG(seed, 2))}
	for k := range 20 {
		id := g.randomID(day.Add(-time.Hour))
		g.keys = append(g.keys, Entry{
			KeyID: id, KeyName: fmt.Sprintf("key %02d for prod", k), KeyLast4: g.hex(4), ExternalID: "customer-0000", CallCount: 1,
		})
		g.agents = append(g.agents, "agent-"+g.hex(8))
	}
	words := []string{"agents", "conversations", "messages", "runs", "tools", "files", "search", "sessions", "billing", "voice"}
	word := func() string { return words[g.r.IntN(len(words))] }
	for i := range 5000 {
		g.endpoints = append(g.endpoints, fmt.Sprintf("/v1/%s/%s/item%04d/%s", word(), word(), i, word()))
	}
	if counterIDs {
		g.tails = make([]uint64, 4)
	}
	return g
}

// rows returns n rows from start on, at random times with a mean distance of step.
func (g *traffic) rows(n int, start time.Time, step time.Duration) []Entry {
	rows := make([]Entry, n)
	at, hour := start, time.Time{}
	for i := range rows {
		at = at.Add(time.Duration(g.r.ExpFloat64() * float64(step)))
		if h := at.Truncate(time.Hour); h != hour {
			hour = h
			for t := range g.tails {
				g.tails[t] = g.r.Uint64()>>2 | 1<<63
			}
		}
		rows[i] = g.row(at)
	}
	slices.SortFunc(rows, func(a, b Entry) int { return compare(a.ID, b.ID) })
	return rows
}

func (g *traffic) row(at time.Time) Entry {
	e := g.keys[g.r.IntN(len(g.keys))]
	e.ID = g.id(at)
	a := g.r.IntN(len(g.agents))
	e.AgentType, e.AgentID = []string{"agent", "data_agent", "voice_agent"}[a%3], g.agents[a]
	e.Method = []string{"GET", "POST", "POST", "PUT"}[g.r.IntN(4)]
	if g.r.IntN(10) < 7 {
		e.Endpoint = g.endpoints[g.r.IntN(len(g.endpoints))]
	} else {
		e.Endpoint = "/v1/conversations/" + g.hex(20) + "/messages"
	}
	switch p := g.r.IntN(100); {
	case p < 96:
		e.Status = 200
	case p < 99:
		e.Status, e.ErrorCode = 403, "scope_denied"
	default:
		e.Status = 500
	}
	e.Latency, e.Reported = time.Duration(1000+g.r.IntN(3_000_000))*time.Microsecond, true
	return e
}

func (g *traffic) id(at time.Time) uuid.UUID {
	if g.tails == nil {
		return g.randomID(at)
	}
	id := counterID(at, g.tails[g.r.IntN(len(g.tails))])
	if millisecond(g.last) == millisecond(id) {
		id[7] = g.last[7] + 1
	}
	g.last = id
	return id
}

func (g *traffic) randomID(at time.Time) uuid.UUID {
	id := counterID(at, g.r.Uint64()>>2|1<<63)
	id[6] |= byte(g.r.IntN(16))
	id[7] = byte(g.r.IntN(256))
	return id
}

func counterID(at time.Time, tail uint64) uuid.UUID {
	id := uuid7.First(at)
	for i := range 8 {
		id[8+i] = byte(tail >> (56 - 8*i))
	}
	return id
}

func (g *traffic) hex(digits int) string {
	raw := make([]byte, (digits+1)/2)
	for i := range raw {
		raw[i] = byte(g.r.Uint32())
	}
	return hex.EncodeToString(raw)[:digits]
}
