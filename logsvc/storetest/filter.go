package storetest

import (
	"math/bits"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
)

var filterSentences = []sentence{
	{"selects entries of one workspace", selectsOneWorkspace},
	{"a zero one selects all", zeroSelectsAll},
	{"StatusClass is the first digit of the status: 2, 4 or 5", statusClass},
	{"InProgress selects entries without a status", inProgressOnly},
	{"Method is in the case that the entries have", method},
	{"KeyID", keyID},
	{"ErrorCode", errorCode},
	{"AgentType and AgentID", agents},
	{"Endpoint is a substring: ASCII letters match either case, every other character stands for itself", endpoint},
	{"its fields combine with AND", fieldsCombine},
	{"selects entries as they are known now, not as they were", selectsAsKnownNow},
}

// selects fails unless a filter selects exactly what the model says, and that is something but not all.
func (f *fixture) selects(filter logsvc.Filter, from []logsvc.Entry) {
	f.Helper()
	m := model{}
	m.record(from...)
	want := m.list(acme, filter, f.everything())
	if len(want) == 0 || len(want) == len(from) {
		f.Fatalf("filter %+v selects %d of %d: it shows nothing", filter, len(want), len(from))
	}
	f.same(f.all(acme, filter), want)
}

func selectsOneWorkspace(f *fixture) {
	calls := f.calls(3)
	f.record(calls[0], calls[1], in(globex, calls[0]), in(globex, calls[2]), in("_unattributed", calls[2]))
	f.holds(acme, calls[0], calls[1])
	f.holds(globex, in(globex, calls[0]), in(globex, calls[2]))
	f.holds("_unattributed", in("_unattributed", calls[2]))
	f.holds("acm%")
}

func zeroSelectsAll(f *fixture) {
	calls := f.calls(4)
	calls[0] = inProgress(calls[0])
	calls[1] = denied(calls[1], 401, "invalid_token", "")
	calls[1].KeyID, calls[1].Endpoint = uuid.Nil, ""
	calls[2].Status = 302
	f.record(calls...)
	f.holds(acme, calls...)
}

func statusClass(f *fixture) {
	var calls []logsvc.Entry
	for i, status := range []int{0, 100, 199, 200, 204, 299, 300, 302, 399, 400, 404, 499, 500, 503, 599} {
		calls = append(calls, reported(f.call(time.Duration(i)*time.Hour), status, "", 0))
	}
	f.record(calls...)
	for _, class := range []int{2, 4, 5} {
		f.selects(logsvc.Filter{StatusClass: class}, calls)
	}
}

func inProgressOnly(f *fixture) {
	calls := f.calls(6)
	calls[1], calls[4] = inProgress(calls[1]), reported(calls[4], 0, "", time.Second)
	f.record(calls...)
	f.selects(logsvc.Filter{InProgress: true}, calls)
	f.same(f.all(acme, logsvc.Filter{InProgress: true, StatusClass: 2}), nil)
}

func method(f *fixture) {
	calls := f.calls(6)
	for i, method := range []string{"GET", "get", "", "GETS", "DELETE", "GET"} {
		calls[i].Method = method
	}
	f.record(calls...)
	for _, method := range []string{"GET", "get", "DELETE"} {
		f.selects(logsvc.Filter{Method: method}, calls)
	}
	f.same(f.all(acme, logsvc.Filter{Method: "%"}), nil)
}

func keyID(f *fixture) {
	calls := f.calls(6)
	calls[2].KeyID, calls[4].KeyID = calls[0].KeyID, uuid.Nil
	f.record(append(calls, in(globex, calls[0]))...)
	f.selects(logsvc.Filter{KeyID: calls[0].KeyID}, calls)
	f.same(f.all(acme, logsvc.Filter{KeyID: uuid.New()}), nil)
}

func errorCode(f *fixture) {
	calls := f.calls(4)
	calls[0].ErrorCode, calls[1].ErrorCode, calls[2].ErrorCode = "expired", "disabled", "expired_not"
	f.record(calls...)
	for _, code := range []string{"expired", "disabled"} {
		f.selects(logsvc.Filter{ErrorCode: code}, calls)
	}
	f.same(f.all(acme, logsvc.Filter{ErrorCode: "code_of_a_later_release"}), nil)
}

func agents(f *fixture) {
	calls := f.calls(6)
	calls[1].AgentType, calls[2].AgentType, calls[3].AgentType = "agent", "", "VOICE_AGENT"
	calls[1].AgentID, calls[2].AgentID, calls[4].AgentID = "agent-10", "", "Agent-1"
	f.record(calls...)
	f.selects(logsvc.Filter{AgentType: "agent"}, calls)
	f.selects(logsvc.Filter{AgentType: "voice_agent"}, calls)
	f.selects(logsvc.Filter{AgentID: "agent-1"}, calls)
	f.selects(logsvc.Filter{AgentType: "voice_agent", AgentID: "Agent-1"}, calls)
	f.same(f.all(acme, logsvc.Filter{AgentID: "agent"}), nil)
}

// fieldsCombine tries each of seven fields, all pairs of them, and all together, on rows that have all combinations of values.
// Each field is a condition of its own, so three of them can fail only where two do. All 127 combinations take four times as long.
func fieldsCombine(f *fixture) {
	filter := logsvc.Filter{
		StatusClass: 4, KeyID: uuid.New(), Endpoint: "/V1", ErrorCode: "expired", AgentType: "agent", AgentID: "agent-2",
		Method: "DELETE",
	}
	var calls []logsvc.Entry
	for fields := range 1 << filterFields {
		call := f.call(time.Duration(fields) * time.Hour)
		part := some(filter, fields)
		call.KeyID, call.ErrorCode, call.Endpoint = part.KeyID, part.ErrorCode, "/a"+part.Endpoint
		call.AgentType, call.AgentID, call.Method = part.AgentType, part.AgentID, part.Method
		call.Status = 200 + part.StatusClass*50
		calls = append(calls, call)
	}
	f.record(calls...)
	for fields := 1; fields < 1<<filterFields; fields++ {
		if n := bits.OnesCount(uint(fields)); n <= 2 || n == filterFields {
			f.selects(some(filter, fields), calls)
		}
	}
}

const filterFields = 7

// some keeps the fields of a filter whose bit is set.
func some(filter logsvc.Filter, bits int) (part logsvc.Filter) {
	keep := func(bit int) bool { return bits&(1<<bit) != 0 }
	if keep(0) {
		part.StatusClass = filter.StatusClass
	}
	if keep(1) {
		part.KeyID = filter.KeyID
	}
	if keep(2) {
		part.Endpoint = filter.Endpoint
	}
	if keep(3) {
		part.ErrorCode = filter.ErrorCode
	}
	if keep(4) {
		part.AgentType = filter.AgentType
	}
	if keep(5) {
		part.AgentID = filter.AgentID
	}
	if keep(6) {
		part.Method = filter.Method
	}
	return part
}

// selectsAsKnownNow changes one of many entries in every field that a filter has.
func selectsAsKnownNow(f *fixture) {
	calls := f.calls(12)
	for i := range calls {
		calls[i] = inProgress(fromReport(calls[i]))
		calls[i].KeyID = calls[0].KeyID
	}
	f.record(calls...)
	before := calls[3]
	calls[3] = denied(redescribed(before), 401, "expired", "")
	calls[3].FromReport = false
	f.record(calls[3])
	now := calls[3]
	for _, filter := range []logsvc.Filter{
		{StatusClass: 4}, {ErrorCode: now.ErrorCode}, {KeyID: now.KeyID}, {AgentType: now.AgentType}, {AgentID: now.AgentID},
		{Endpoint: now.Endpoint}, {KeyID: before.KeyID}, {AgentType: before.AgentType}, {AgentID: before.AgentID},
		{Endpoint: before.Endpoint}, {Method: now.Method}, {Method: before.Method}, {InProgress: true},
	} {
		f.selects(filter, calls)
	}
}
