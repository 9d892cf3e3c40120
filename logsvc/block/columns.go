package block

import (
	"encoding/binary"

	"github.com/google/uuid"
)

// maxTexts is the most bytes of an entry's texts without the endpoint, and maxEndpoint of that. The contract's limits are below.
const (
	maxTexts    = 2048
	maxEndpoint = 2048
)

type keySnapshot struct {
	id                      uuid.UUID
	name, last4, externalID string
}

type agent struct{ kind, id string }

type outcome struct {
	status      int
	code, cause string
}

// columns are what decides which rows match, except for the texts of the endpoints. A number of a row is an index of the
// slice of the same kind.
type columns struct {
	times []uint32 // ms since the block's first

	keys, agents, methods, outcomes, endpoints []uint32

	keyValues     []keySnapshot
	agentValues   []agent
	methodValues  []string
	outcomeValues []outcome
	endpointCount int
}

func (e *Encoder) packColumns(p *packer) {
	column(p, e.times)
	e.keys.pack(p)
	e.agents.pack(p)
	e.methods.pack(p)
	e.outcomes.pack(p)
	e.endpoints.pack(p)

	values := packer{out: e.values[:0]}
	for _, k := range e.keys.values {
		values.bytes(k.id[:])
		values.text(k.name)
		values.text(k.last4)
		values.text(k.externalID)
	}
	for _, a := range e.agents.values {
		values.text(a.kind)
		values.text(a.id)
	}
	for _, m := range e.methods.values {
		values.text(m)
	}
	for _, o := range e.outcomes.values {
		values.uvarint(uint64(o.status))
		values.text(o.code)
		values.text(o.cause)
	}
	e.values = values.out
	p.uvarint(uint64(len(e.values)))
	p.run(e.values)
}

// readColumns reads the columns of n rows.
func readColumns(u *unpacker, n int) (*columns, error) {
	c := &columns{times: readColumn[uint32](u, n)}
	for row := 1; row < n; row++ {
		c.times[row] += c.times[row-1]
		if c.times[row] < c.times[row-1] {
			u.fail("times are not in order")
		}
	}
	var keys, agents, methods, outcomes int
	c.keys, keys = readNumbers(u, n)
	c.agents, agents = readNumbers(u, n)
	c.methods, methods = readNumbers(u, n)
	c.outcomes, outcomes = readNumbers(u, n)
	c.endpoints, c.endpointCount = readNumbers(u, n)

	// Four numbers of values, each up to n, with at most 9 lengths and integers between them.
	length := u.count(n * (maxTexts + 64))
	values := unpacker{in: u.run(length, nil), err: u.err}
	c.keyValues = make([]keySnapshot, keys)
	for i := range c.keyValues {
		k := &c.keyValues[i]
		copy(k.id[:], values.bytes(len(k.id)))
		k.name, k.last4, k.externalID = values.text(), values.text(), values.text()
	}
	c.agentValues = make([]agent, agents)
	for i := range c.agentValues {
		c.agentValues[i] = agent{values.text(), values.text()}
	}
	c.methodValues = make([]string, methods)
	for i := range c.methodValues {
		c.methodValues[i] = values.text()
	}
	c.outcomeValues = make([]outcome, outcomes)
	for i := range c.outcomeValues {
		c.outcomeValues[i] = outcome{int(values.uvarint(1<<64 - 1)), values.text(), values.text()}
	}
	u.err = values.end()
	return c, u.end()
}

// fill sets the fields of an entry that are columns, and the time of its id. The block begins at first.
func (c *columns) fill(e *Entry, row int, first uint64) {
	k, a, o := &c.keyValues[c.keys[row]], &c.agentValues[c.agents[row]], &c.outcomeValues[c.outcomes[row]]
	binary.BigEndian.PutUint64(e.ID[:], (first+uint64(c.times[row]))<<16)
	e.KeyID, e.KeyName, e.KeyLast4, e.ExternalID = k.id, k.name, k.last4, k.externalID
	e.AgentType, e.AgentID = a.kind, a.id
	e.Method = c.methodValues[c.methods[row]]
	e.Status, e.ErrorCode, e.Cause = o.status, o.code, o.cause
}
