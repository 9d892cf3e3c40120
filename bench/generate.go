package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
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
	dayLength        = 24 * time.Hour
)

// generator generates reproducible request logs. Their times are random, with the same rate from start to end.
type generator struct {
	rows      int
	start     time.Time
	span      time.Duration
	randomIDs bool
	keys      [workspaces][keysPerWorkspace]logsvc.Entry
	agents    [workspaces][agentsOfEach]string
	endpoints [commonEndpoints]string
}

// newGenerator returns a generator of at least so many rows: each day has the same number.
func newGenerator(rows int, start time.Time, span time.Duration, randomIDs bool) *generator {
	days := max(1, int(span/dayLength))
	g := &generator{rows: (rows + days - 1) / days * days, start: start, span: span, randomIDs: randomIDs}
	r := rand.New(rand.NewPCG(1, 2))
	created := time.Date(2025, 12, 1, 0, 0, 0, 0, time.UTC) // the keys of all generators are the same
	for w := range g.keys {
		for k := range g.keys[w] {
			g.keys[w][k] = logsvc.Entry{
				WorkspaceID: fmt.Sprintf("ws-%04d", w), ExternalID: fmt.Sprintf("customer-%04d", w), CallCount: 1,
				KeyID: randomID(r, created), KeyName: fmt.Sprintf("key %02d for prod", k), KeyLast4: randomHex(r, 4),
			}
		}
		for a := range g.agents[w] {
			g.agents[w][a] = "agent-" + randomHex(r, 8)
		}
	}
	words := []string{
		"agents", "conversations", "messages", "runs", "tools", "files", "search", "sessions", "billing", "voice", "data", "query",
		"models", "events", "export",
	}
	word := func() string { return words[r.IntN(len(words))] }
	for i := range g.endpoints {
		g.endpoints[i] = fmt.Sprintf("/v1/%s/%s/item%04d/%s", word(), word(), i, word())
	}
	return g
}

// days returns the number of days of the rows.
func (g *generator) days() int { return int(g.span / dayLength) }

func (g *generator) end() time.Time { return g.start.Add(g.span) }

// at returns the time before which the first i rows are.
func (g *generator) at(i int) time.Time {
	return g.start.Add(time.Duration(g.span.Milliseconds()*int64(i)/int64(g.rows)) * time.Millisecond)
}

// batch returns the rows from..to, oldest first.
func (g *generator) batch(from, to int) []logsvc.Entry {
	r := rand.New(rand.NewPCG(uint64(from), 7))
	start := g.at(from)
	length := max(1, g.at(to).Sub(start).Milliseconds())
	times := make([]time.Duration, to-from)
	for i := range times {
		times[i] = time.Duration(r.Int64N(length)) * time.Millisecond
	}
	slices.Sort(times)
	ids := idMaker{r: r}
	rows := make([]logsvc.Entry, len(times))
	for i, after := range times {
		rows[i] = g.row(r)
		if at := start.Add(after); g.randomIDs {
			rows[i].ID = randomID(r, at)
		} else {
			rows[i].ID = ids.next(at)
		}
	}
	return rows
}

// row returns a row without an id.
func (g *generator) row(r *rand.Rand) logsvc.Entry {
	w := 0
	if r.IntN(2) == 1 {
		w = 1 + r.IntN(workspaces-1)
	}
	e := g.keys[w][r.IntN(keysPerWorkspace)]
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

// processes is the number of auth services that make ids.
const processes = 4

// idMaker makes ids as the uuid7.Generator of each of these processes does, for ascending times. The last bits depend only on the
// process and the hour, so that batches can be generated in any order.
type idMaker struct {
	r     *rand.Rand
	last  [processes]int64 // Unix milliseconds
	count [processes]uint16
}

func (m *idMaker) next(at time.Time) uuid.UUID {
	p, now := m.r.IntN(processes), at.UnixMilli()
	m.count[p]++
	if now != m.last[p] {
		m.last[p], m.count[p] = now, 0
	}
	// The processes started a quarter of an hour after each other.
	hour := (now + int64(p)*(15*time.Minute).Milliseconds()) / time.Hour.Milliseconds()
	return newID(at, m.count[p], rand.NewPCG(uint64(p), uint64(hour)).Uint64())
}

// randomID is uuid7.New without the cost of crypto/rand, which is not part of the log service.
func randomID(r *rand.Rand, at time.Time) uuid.UUID {
	return newID(at, uint16(r.Uint32()&0xfff), r.Uint64())
}

func newID(at time.Time, counter uint16, tail uint64) uuid.UUID {
	id := uuid7.First(at)
	binary.BigEndian.PutUint16(id[6:], 0x7000|counter)
	binary.BigEndian.PutUint64(id[8:], tail>>2|1<<63)
	return id
}

func randomHex(r *rand.Rand, digits int) string {
	raw := make([]byte, (digits+7)/8*8)
	for i := 0; i < len(raw); i += 8 {
		binary.LittleEndian.PutUint64(raw[i:], r.Uint64())
	}
	return hex.EncodeToString(raw)[:digits]
}
