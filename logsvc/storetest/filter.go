package storetest

import (
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
)

var filterSentences = []sentence{
	{"selects entries of one workspace", selectsOneWorkspace},
	{"a zero one selects all", zeroSelectsAll},
	{"StatusClass is the first digit of the status: 2, 4 or 5", statusClass},
	{"KeyID", keyID},
	{"ErrorCode", errorCode},
	{"Endpoint is a substring: ASCII letters match either case, every other character stands for itself", endpoint},
	{"its fields combine with AND", fieldsCombine},
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

func keyID(f *fixture) {
	calls := f.calls(6)
	calls[2].KeyID, calls[4].KeyID = calls[0].KeyID, uuid.Nil
	f.record(calls...)
	f.record(in(globex, calls[0]))
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

// fieldsCombine tries all 16 combinations of four fields on rows that have all 16 combinations of values.
func fieldsCombine(f *fixture) {
	filter := logsvc.Filter{StatusClass: 4, KeyID: uuid.New(), Endpoint: "/V1", ErrorCode: "expired"}
	var calls []logsvc.Entry
	for bits := range 16 {
		call := f.call(time.Duration(bits) * time.Hour)
		part := some(filter, bits)
		call.KeyID, call.ErrorCode, call.Endpoint = part.KeyID, part.ErrorCode, "/a"+part.Endpoint
		call.Status = 200 + part.StatusClass*50
		calls = append(calls, call)
	}
	f.record(calls...)
	for bits := 1; bits < 16; bits++ {
		f.selects(some(filter, bits), calls)
	}
}

// some keeps the fields of a filter whose bit is set.
func some(filter logsvc.Filter, bits int) (part logsvc.Filter) {
	if bits&1 != 0 {
		part.StatusClass = filter.StatusClass
	}
	if bits&2 != 0 {
		part.KeyID = filter.KeyID
	}
	if bits&4 != 0 {
		part.Endpoint = filter.Endpoint
	}
	if bits&8 != 0 {
		part.ErrorCode = filter.ErrorCode
	}
	return part
}
