package block

import (
	"slices"
	"sort"

	"github.com/google/uuid"
)

// chosen are the rows that may be results. The columns are not needed any more.
type chosen struct {
	rows          []row // descending
	limited       bool  // there are enough matches, so that older rows were left out
	endpointCount int
}

type row struct {
	row      int
	match    bool // without the range
	endpoint uint32
	entry    Entry // without what the page has, and the endpoint
}

// choose chooses the rows whose pages are needed. Of a row in the same millisecond as a bound of the range or as an id of
// Always, only the page tells which side it is on: it is chosen, and does not count towards the limit.
func (c *columns) choose(s *Summary, q *ScanQuery, found []bool) *chosen {
	first := millisecond(s.First)
	undecided := map[uint32]bool{}
	for _, id := range append([]uuid.UUID{q.From, q.To}, q.Always...) {
		if from, to := c.sameMillisecond(first, id); from < to {
			undecided[c.times[from]] = true
		}
	}
	match := c.matcher(q.Filter, found)
	low, _ := c.sameMillisecond(first, q.From)
	_, high := c.sameMillisecond(first, q.To)
	var numbers []int
	count := 0
	for number := high - 1; number >= low && count < q.Limit; number-- {
		if !match(number) {
			continue
		}
		numbers = append(numbers, number)
		if len(undecided) == 0 || !undecided[c.times[number]] {
			count++
		}
	}
	for _, id := range q.Always {
		from, to := c.sameMillisecond(first, id)
		for number := from; number < to; number++ {
			numbers = append(numbers, number)
		}
	}
	if len(q.Always) > 0 {
		slices.SortFunc(numbers, func(a, b int) int { return b - a })
		numbers = slices.Compact(numbers)
	}
	rows := make([]row, len(numbers))
	for i, number := range numbers {
		rows[i] = row{row: number, match: match(number), endpoint: c.endpoints[number]}
		c.fill(&rows[i].entry, number, first)
	}
	return &chosen{rows: rows, limited: count == q.Limit, endpointCount: c.endpointCount}
}

// sameMillisecond returns the rows in the millisecond of an id. If there are none, both are the first row after it.
func (c *columns) sameMillisecond(first uint64, id uuid.UUID) (from, to int) {
	at := millisecond(id)
	if at < first {
		return 0, 0
	}
	from = sort.Search(len(c.times), func(row int) bool { return uint64(c.times[row]) >= at-first })
	to = sort.Search(len(c.times), func(row int) bool { return uint64(c.times[row]) > at-first })
	return from, to
}

// matcher returns a function that reports whether a row matches the filter. Found are the endpoints that match.
func (c *columns) matcher(f Filter, found []bool) func(row int) bool {
	type condition struct {
		numbers []uint32
		match   []bool
	}
	var conditions []condition
	if f.Endpoint != "" {
		if found == nil {
			return func(int) bool { return false }
		}
		conditions = append(conditions, condition{c.endpoints, found})
	}
	if f.KeyID != uuid.Nil {
		conditions = append(conditions, condition{c.keys, matches(c.keyValues, func(k keySnapshot) bool { return k.id == f.KeyID })})
	}
	if f.StatusClass != 0 || f.InProgress || f.ErrorCode != "" {
		conditions = append(conditions, condition{c.outcomes, matches(c.outcomeValues, func(o outcome) bool {
			return (f.StatusClass == 0 || o.status/100 == f.StatusClass) && (!f.InProgress || o.status == 0) &&
				(f.ErrorCode == "" || o.code == f.ErrorCode)
		})})
	}
	if f.Method != "" {
		conditions = append(conditions, condition{c.methods, matches(c.methodValues, func(m string) bool { return m == f.Method })})
	}
	if f.AgentType != "" || f.AgentID != "" {
		conditions = append(conditions, condition{c.agents, matches(c.agentValues, func(a agent) bool {
			return (f.AgentType == "" || a.kind == f.AgentType) && (f.AgentID == "" || a.id == f.AgentID)
		})})
	}
	return func(row int) bool {
		for _, c := range conditions {
			if !c.match[c.numbers[row]] {
				return false
			}
		}
		return true
	}
}

func matches[T any](values []T, match func(T) bool) []bool {
	result := make([]bool, len(values))
	for i, value := range values {
		result[i] = match(value)
	}
	return result
}
