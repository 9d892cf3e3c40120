package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

const (
	workspaces       = 100 // the first one has half of all rows
	keysPerWorkspace = 20
	agentsOfEach     = 20
	commonEndpoints  = 5000 // 70 % of rows have one of these; all others are unique
)

// generator generates reproducible request logs, evenly spread from start to end.
type generator struct {
	rows       int
	start, end time.Time
	keys       [workspaces][keysPerWorkspace]logsvc.Entry
	agents     [workspaces][agentsOfEach]string
	endpoints  [commonEndpoints]string
}

func newGenerator(rows int, days time.Duration, end time.Time) *generator {
	g := &generator{rows: rows, start: end.Add(-days), end: end}
	r := rand.New(rand.NewPCG(1, 2))
	for w := range g.keys {
		for k := range g.keys[w] {
			g.keys[w][k] = logsvc.Entry{
				WorkspaceID: fmt.Sprintf("ws-%04d", w), KeyID: uuid7.New(g.start), KeyName: fmt.Sprintf("key %02d for prod", k), KeyLast4: randomHex(r, 4),
				ExternalID: fmt.Sprintf("customer-%04d", w), CallCount: 1,
			}
		}
		for a := range g.agents[w] {
			g.agents[w][a] = "agent-" + randomHex(r, 8)
		}
	}
	words := []string{"agents", "conversations", "messages", "runs", "tools", "files", "search", "sessions", "billing", "voice", "data", "query", "models", "events", "export"}
	word := func() string { return words[r.IntN(len(words))] }
	for i := range g.endpoints {
		g.endpoints[i] = fmt.Sprintf("/v1/%s/%s/item%04d/%s", word(), word(), i, word())
	}
	return g
}

// batch returns the rows from..to, oldest first.
func (g *generator) batch(from, to int) []logsvc.Entry {
	r := rand.New(rand.NewPCG(uint64(from), 7))
	rows := make([]logsvc.Entry, 0, to-from)
	for i := from; i < to; i++ {
		at := g.start.Add(time.Duration(float64(g.end.Sub(g.start)) * float64(i) / float64(g.rows)))
		rows = append(rows, g.row(r, at))
	}
	return rows
}

func (g *generator) row(r *rand.Rand, at time.Time) logsvc.Entry {
	w := 0
	if r.IntN(2) == 1 {
		w = 1 + r.IntN(workspaces-1)
	}
	e := g.keys[w][r.IntN(keysPerWorkspace)]
	e.ID = randomID(r, at)
	agent := r.IntN(agentsOfEach)
	e.AgentType, e.AgentID = []string{"agent", "data_agent", "voice_agent"}[agent%3], g.agents[w][agent]
	e.Method = []string{"GET", "POST", "POST", "PUT"}[r.IntN(4)]
	if r.IntN(10) < 7 {
		e.Endpoint = g.endpoints[r.IntN(commonEndpoints)]
	} else {
		e.Endpoint = "/v1/conversations/" + randomHex(r, 20) + "/messages"
	}
	switch p := r.IntN(100); {
	case p < 96:
		e.Status = 200
	case p < 99:
		e.Status, e.ErrorCode = 403, "scope_denied"
	default:
		e.Status = 500
	}
	e.Latency, e.Reported = time.Duration(1000+r.IntN(3_000_000))*time.Microsecond, true
	return e
}

// randomID is uuid7.New without the cost of crypto/rand, which is not part of the log service.
func randomID(r *rand.Rand, at time.Time) uuid.UUID {
	id := uuid7.First(at)
	binary.BigEndian.PutUint64(id[8:], r.Uint64()>>2|1<<63)
	binary.BigEndian.PutUint16(id[6:], 0x7000|uint16(r.Uint32()&0xfff))
	return id
}

func randomHex(r *rand.Rand, digits int) string {
	raw := make([]byte, (digits+7)/8*8)
	for i := 0; i < len(raw); i += 8 {
		binary.LittleEndian.PutUint64(raw[i:], r.Uint64())
	}
	return hex.EncodeToString(raw)[:digits]
}
