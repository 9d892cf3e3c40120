package storetest

import (
	"math"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
)

var recordSentences = []sentence{
	{"an entry that is new is stored", newIsStored},
	{"each entry keeps its own snapshot of its key", snapshotsAreOfTheirEntry},
	{"by (workspace, id): one id in two workspaces is two entries", idsAreOfAWorkspace},
	{"the batch may hold one id several times, in any order", oneIDSeveralTimes},
	{"ids are within the window, which reaches a day into the future", wholeWindow},
}

func newIsStored(f *fixture) {
	full := f.call(0)
	full.KeyName = "Ключ 'prod'; DROP TABLE request_logs; --"
	full.ExternalID = "Zoë's \"id\" 鍵"
	full.Endpoint = "/é/%/_/\\/\"/" + strings.Repeat("x", 2000)
	full.Status, full.ErrorCode, full.Cause, full.CallCount = 403, "agent_denied", "no_agent", math.MaxInt32
	noKey := f.call(time.Second)
	noKey.KeyID, noKey.KeyName, noKey.KeyLast4, noKey.ExternalID = uuid.Nil, "", "", ""
	bare := logsvc.Entry{ID: f.call(2 * time.Second).ID, WorkspaceID: acme, CallCount: 1}
	fine := f.call(3 * time.Second)
	fine.Latency = 1234567 * time.Nanosecond
	atOnce := reported(f.call(4*time.Second), 200, "", 0)
	refused := denied(f.call(5*time.Second), 403, "code_of_a_later_release", "cause_of_a_later_release")
	refused.AgentType = "type_of_a_later_release"
	late := fromReport(f.call(6 * time.Second))
	f.record(bare, full, late, fine, noKey, refused, atOnce)
	fine.Latency = 1234 * time.Microsecond
	f.holds(acme, full, noKey, bare, fine, atOnce, refused, late)
}

func snapshotsAreOfTheirEntry(f *fixture) {
	calls := f.calls(4)
	for i := range calls {
		calls[i].KeyID = calls[0].KeyID
	}
	calls[1].KeyName, calls[2].KeyLast4, calls[3].ExternalID = "renamed", "9999", "customer-8"
	f.record(calls...)
	f.holds(acme, calls...)
	f.same(f.all(acme, logsvc.Filter{KeyID: calls[0].KeyID}), calls)
}

func idsAreOfAWorkspace(f *fixture) {
	entry := f.call(0)
	other := in(globex, reported(entry, 500, "", time.Second))
	f.record(inProgress(entry), inProgress(other))
	f.record(other)
	f.holds(acme, inProgress(entry))
	f.record(entry)
	f.holds(acme, entry)
	f.holds(globex, other)
}

func oneIDSeveralTimes(f *fixture) {
	var want, batch []logsvc.Entry
	for i, statuses := range [][]int{
		{0, 200}, {200, 0}, {0, 0}, {200, 200}, {0, 200, 0}, {0, 0, 200}, {200, 0, 0}, {0, 200, 500}, {500, 0, 200},
	} {
		call, m := f.call(time.Duration(i)*time.Minute), model{}
		for _, status := range statuses {
			part := counted(reported(call, status, "", time.Duration(status)*time.Millisecond), 1+status/200)
			m.record(part)
			batch = append(batch, part)
		}
		want = append(want, m[row{acme, call.ID}])
	}
	f.record(batch...)
	f.holds(acme, want...)
	f.record(batch...)
	for i, e := range want {
		batch[i] = inProgress(e)
	}
	f.record(batch[:len(want)]...)
	f.holds(acme, want...)
}

func wholeWindow(f *fixture) {
	newest, oldest := f.call(-day+time.Second), f.call(30*day-time.Second)
	f.record(oldest, newest)
	f.holds(acme, newest, oldest)
}

var getSentences = []sentence{
	{"returns the entry of this workspace and id", returnsTheEntry},
	{"found is false where there is none", nothingFound},
}

func returnsTheEntry(f *fixture) {
	entry := f.call(0)
	other := in(globex, reported(entry, 404, "", time.Minute))
	f.record(f.call(time.Millisecond), entry, other, f.call(-time.Millisecond))
	f.holdsEach(entry, other)
}

func nothingFound(f *fixture) {
	call := f.call(0)
	f.record(call, f.call(time.Minute), f.call(-time.Minute))
	for _, e := range []logsvc.Entry{f.call(0), in(globex, call), in("ACME", call), in("acm_", call)} {
		if got, found := f.get(e.WorkspaceID, e.ID); found || got != (logsvc.Entry{}) {
			f.Errorf("Get(%s, %s) = %+v, %t, want nothing", e.WorkspaceID, e.ID, got, found)
		}
	}
}
