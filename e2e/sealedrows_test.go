package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/internal/wire"
	"github.com/keytrail/keytrail/logsvc"
)

// rowModel makes records of calls on UTC days that have ended, and knows the rows that they must become.
type rowModel struct {
	random *rand.Rand
	days   []*modelDay
	keys   []uuid.UUID
	want   map[rowName]logsvc.Entry
}

type modelDay struct {
	start time.Time
	// first is the time of its first call so far.
	first time.Time
	// sent are its records.
	sent []logsvc.Entry
}

// rowName names a row.
type rowName struct {
	workspaceID string
	id          uuid.UUID
}

// modelWorkspaces are those of the rows. One has twice as many as each of the others.
var modelWorkspaces = []string{"acme", "acme", "globex", "initech", "_unattributed"}

// newRowModel returns a model of the five days before today.
func newRowModel(random *rand.Rand, today time.Time) *rowModel {
	m := &rowModel{random: random, want: map[rowName]logsvc.Entry{}}
	for ago := range 5 {
		start := today.AddDate(0, 0, -1-ago)
		m.days = append(m.days, &modelDay{start: start, first: start.Add(12 * time.Hour)})
	}
	for range 8 {
		m.keys = append(m.keys, m.newID(today))
	}
	return m
}

// newID returns a new id of a time. It depends on the seed alone.
func (m *rowModel) newID(t time.Time) uuid.UUID {
	id := uuid7.First(t)
	for i := 6; i < len(id); i++ {
		id[i] |= byte(m.random.IntN(1 << 4)) // the version and the variant are in the other half
	}
	return id
}

// batches makes records of three of the days, and returns them as batches for each of several senders. The records of one
// row have one sender, so that they are stored in the order in which they were made.
func (m *rowModel) batches(records, batch, senders int) [][]*logsv1.RecordRequestLogsRequest {
	sent := make([][]*logsv1.RequestLogRecord, senders)
	days := m.random.Perm(len(m.days))[:3]
	for range records {
		e := m.next(m.days[days[m.random.IntN(len(days))]])
		sender := int(e.ID[15]) % senders
		sent[sender] = append(sent[sender], recordOf(e))
	}
	batches := make([][]*logsv1.RecordRequestLogsRequest, senders)
	for i := range sent {
		for chunk := range slices.Chunk(sent[i], batch) {
			batches[i] = append(batches[i], &logsv1.RecordRequestLogsRequest{Records: chunk})
		}
	}
	return batches
}

// next makes a record of a day: of a new call, or another one of an earlier call.
func (m *rowModel) next(d *modelDay) logsvc.Entry {
	var e logsvc.Entry
	if len(d.sent) > 0 && m.random.IntN(2) == 0 {
		e = m.again(d.sent[m.random.IntN(len(d.sent))])
	} else {
		e = m.call(m.newTime(d))
	}
	d.sent = append(d.sent, e)
	name := rowName{e.WorkspaceID, e.ID}
	if old, known := m.want[name]; known {
		m.want[name] = logsvc.Merge(old, e)
	} else {
		m.want[name] = e
	}
	return e
}

// newTime returns the time of a new call. Some are before all others of the day, so that the first block gets another first
// row.
func (m *rowModel) newTime(d *modelDay) time.Time {
	if m.random.IntN(8) == 0 {
		d.first = d.first.Add(-m.upTo(time.Second))
		return d.first
	}
	return d.first.Add(m.upTo(d.start.Add(24 * time.Hour).Sub(d.first)))
}

// upTo returns a random duration below most.
func (m *rowModel) upTo(most time.Duration) time.Duration {
	return time.Duration(m.random.Int64N(int64(most)))
}

// call makes the first record of a call: allowed, denied, shared, or from a report that arrives before the check's.
func (m *rowModel) call(t time.Time) logsvc.Entry {
	e := logsvc.Entry{
		ID: m.newID(t), WorkspaceID: modelWorkspaces[m.random.IntN(len(modelWorkspaces))],
		AgentType: "agent", AgentID: fmt.Sprint("a", m.random.IntN(20)), Method: "POST", CallCount: 1,
	}
	e.Endpoint = fmt.Sprintf("/v1/agents/%s/calls/%x", e.AgentID, m.random.Uint64N(1<<40))
	switch m.random.IntN(5) {
	case 0:
		e.Status, e.ErrorCode, e.CallCount = 401, "missing_token", 1+m.random.IntN(9)
		return e
	case 1:
		e.Status, e.ErrorCode, e.Cause = 403, "agent_denied", "no_agent"
	}
	e.KeyID = m.keys[m.random.IntN(len(m.keys))]
	e.KeyName, e.KeyLast4, e.ExternalID = "build", e.KeyID.String()[32:], "customer-7"
	if m.random.IntN(5) == 0 {
		return m.reported(e)
	}
	return e
}

// again makes another record of the call of a record: a redelivery, a late check or report, or a larger count.
func (m *rowModel) again(e logsvc.Entry) logsvc.Entry {
	switch m.random.IntN(5) {
	case 0:
		return e
	case 1:
		e.KeyName, e.Endpoint, e.FromReport = "renamed", e.Endpoint+"/checked", false
		return e
	case 2:
		e.CallCount += 1 + m.random.IntN(9)
		return e
	}
	return m.reported(e)
}

// reported returns the record of a report of the same call.
func (m *rowModel) reported(e logsvc.Entry) logsvc.Entry {
	e.Status, e.Reported = []int{200, 201, 404, 500}[m.random.IntN(4)], true
	e.Latency = m.upTo(time.Second).Truncate(time.Microsecond)
	e.KeyName, e.Endpoint, e.FromReport = "bui", e.Endpoint[:10], true
	return e
}

// recordOf converts an entry to a record.
func recordOf(e logsvc.Entry) *logsv1.RequestLogRecord {
	row := &logsv1.RequestLog{
		Id: e.ID.String(), WorkspaceId: e.WorkspaceID, KeyId: wire.ID(e.KeyID), KeyName: e.KeyName, KeyLast4: e.KeyLast4,
		ExternalId: e.ExternalID, AgentType: e.AgentType, AgentId: e.AgentID, Method: e.Method, Endpoint: e.Endpoint,
		Status: int32(e.Status), ErrorCode: e.ErrorCode, Cause: e.Cause, CallCount: int32(e.CallCount),
	}
	if e.Reported {
		row.LatencyMs = proto.Float64(wire.Latency(e.Latency))
	}
	return &logsv1.RequestLogRecord{RequestLog: row, FromReport: e.FromReport}
}

// rowDifferences says how listed rows differ from those of a model.
type rowDifferences struct {
	rows, lost, doubled, wrong int
	// examples describe some of them.
	examples []string
}

func (d rowDifferences) String() string {
	return fmt.Sprintf("%d rows, %d lost, %d doubled, %d wrong%s", d.rows, d.lost, d.doubled, d.wrong,
		strings.Join(append([]string{""}, d.examples[:min(10, len(d.examples))]...), "\n  "))
}

func (d rowDifferences) none() bool { return d.lost+d.doubled+d.wrong == 0 }

// compare compares the rows of all workspaces, each listed newest first, with the model.
func (m *rowModel) compare(rows []*logsv1.RequestLog) rowDifferences {
	d := rowDifferences{rows: len(rows)}
	seen := make(map[rowName]bool, len(rows))
	var last rowName
	for _, row := range rows {
		got := recorded(&logsv1.RequestLogRecord{RequestLog: row})
		name := rowName{got.WorkspaceID, got.ID}
		want := m.want[name]
		want.FromReport = false // is not listed
		switch {
		case seen[name]:
			d.doubled++
			d.examples = append(d.examples, fmt.Sprintf("doubled: %v", row))
		case got != want || !row.GetTime().AsTime().Equal(got.Time()):
			d.wrong++
			d.examples = append(d.examples, fmt.Sprintf("wrong: %+v, want %+v", got, want))
		case name.workspaceID == last.workspaceID && bytes.Compare(name.id[:], last.id[:]) > 0:
			d.wrong++
			d.examples = append(d.examples, fmt.Sprintf("in the wrong order: %v after %v", row, last))
		}
		seen[name], last = true, name
	}
	for name, want := range m.want {
		if !seen[name] {
			d.lost++
			d.examples = append(d.examples, fmt.Sprintf("lost: %+v", want))
		}
	}
	return d
}

// records returns how many records were made.
func (m *rowModel) records() (n int) {
	for _, d := range m.days {
		n += len(d.sent)
	}
	return n
}
