package storetest

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
)

var recordSentences = []sentence{
	{"one that is new is stored", newIsStored},
	{"one that is there in progress takes status, error code, latency and Repeated of a finished one", inProgressIsFinished},
	{"one that is there finished takes the Repeated of a finished one where that is larger, and nothing else", largerCountIsTaken},
	{"the order in which the counts of a row arrive does not matter, nor how often", countsInAnyOrder},
	{"in every other case the one that is there is left as it is", finishedIsLeft},
	{"by (workspace, id): one id in two workspaces is two entries", idsAreOfAWorkspace},
	{"the batch may hold one id several times, in any order", oneIDSeveralTimes},
	{"all of them or none", allOrNone},
	{"ids are within the window, which reaches a day into the future", wholeWindow},
	{"a batch may be empty, and may be large", anySize},
}

func newIsStored(f *fixture) {
	full := f.call(0)
	full.KeyName = "Ключ 'prod'; DROP TABLE request_logs; --"
	full.Endpoint = "/é/%/_/\\/\"/" + strings.Repeat("x", 2000)
	full.Status, full.ErrorCode, full.Repeated = 403, "agent_denied", math.MaxInt32
	noKey := f.call(time.Second)
	noKey.KeyID, noKey.KeyName, noKey.KeyLast4 = uuid.Nil, "", ""
	bare := logsvc.Entry{ID: f.call(2 * time.Second).ID, WorkspaceID: acme, Repeated: 1}
	fine := f.call(3 * time.Second)
	fine.Latency = 1234567 * time.Nanosecond
	f.record(bare, full, fine, noKey)
	fine.Latency = 1234 * time.Microsecond
	f.holds(acme, full, noKey, bare, fine)
}

func inProgressIsFinished(f *fixture) {
	call := f.call(0)
	f.record(inProgress(call))
	finish := counted(ended(call, 503, "late", 7*time.Second), 3)
	finish.KeyName, finish.Endpoint = "renamed", "/other"
	f.record(finish)
	f.holds(acme, counted(ended(call, 503, "late", 7*time.Second), 3))
}

func largerCountIsTaken(f *fixture) {
	first := counted(f.call(0), 5)
	f.record(first)
	other := ended(first, 500, "other", time.Hour)
	other.KeyName, other.Endpoint = "renamed", "/other"
	for _, step := range []struct{ sent, want int }{{4, 5}, {6, 6}, {6, 6}, {1, 6}, {math.MaxInt32, math.MaxInt32}} {
		f.record(counted(other, step.sent))
		f.holds(acme, counted(first, step.want))
	}
	f.record(counted(inProgress(first), math.MaxInt32))
	f.holds(acme, counted(first, math.MaxInt32))
	ofOne := f.call(time.Minute)
	f.record(ofOne)
	f.record(counted(inProgress(ofOne), 9))
	f.holds(acme, counted(first, math.MaxInt32), ofOne)
}

// countsInAnyOrder delivers the counts of ten rows, each twice, in batches of every size.
func countsInAnyOrder(f *fixture) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 8 {
		rows := f.calls(10)
		var sent, want []logsvc.Entry
		for i := range rows {
			rows[i].WorkspaceID = string(rune('a' + round))
			rows[i] = ended(rows[i], 401, "invalid_token", time.Microsecond)
			most := 1 + random.IntN(9)
			for calls := 1; calls <= most; calls++ {
				sent = append(sent, counted(rows[i], calls), counted(rows[i], calls))
			}
			want = append(want, counted(rows[i], most))
		}
		random.Shuffle(len(sent), func(i, j int) { sent[i], sent[j] = sent[j], sent[i] })
		f.recordIn(sent, 1+random.IntN(len(sent)))
		f.holds(want[0].WorkspaceID, want...)
	}
}

func finishedIsLeft(f *fixture) {
	finished := f.call(0)
	f.record(finished)
	f.record(ended(finished, 500, "other", time.Hour))
	f.record(counted(ended(finished, 0, "other", time.Hour), 9))
	f.record(ended(finished, 0, "other", time.Hour))
	f.record(finished)
	running := inProgress(f.call(time.Minute))
	f.record(running)
	f.record(ended(running, 0, "other", time.Hour))
	f.holds(acme, finished, running)
}

func idsAreOfAWorkspace(f *fixture) {
	ours := f.call(0)
	theirs := in(globex, ended(ours, 500, "", time.Second))
	f.record(inProgress(ours), inProgress(theirs))
	f.record(theirs)
	f.holds(acme, inProgress(ours))
	f.record(ours)
	f.holds(acme, ours)
	f.holds(globex, theirs)
}

func oneIDSeveralTimes(f *fixture) {
	var want, batch []logsvc.Entry
	for i, statuses := range [][]int{
		{0, 200}, {200, 0}, {0, 0}, {200, 200}, {0, 200, 0}, {0, 0, 200}, {200, 0, 0}, {0, 200, 500}, {500, 0, 200},
	} {
		call, m := f.call(time.Duration(i)*time.Minute), model{}
		for _, status := range statuses {
			part := counted(ended(call, status, "", time.Duration(status)*time.Millisecond), 1+status/200)
			m.record(part)
			batch = append(batch, part)
		}
		want = append(want, m[row{acme, call.ID}])
	}
	f.record(batch...)
	f.holds(acme, want...)
	f.record(batch...)
	for _, e := range want {
		f.record(inProgress(e))
	}
	f.holds(acme, want...)
}

// allOrNone cuts batches off at every part of the time that one takes.
func allOrNone(f *fixture) {
	started := time.Now()
	f.record(f.calls(200)...)
	whole := time.Since(started)
	for i := range 6 {
		batch := f.calls(200)
		for j := range batch {
			batch[j].WorkspaceID = string(rune('a' + i))
		}
		ctx, cancel := context.WithTimeout(f.Context(), whole*time.Duration(i)/5)
		err := f.store.Record(ctx, batch)
		cancel()
		stored := len(f.all(batch[0].WorkspaceID, logsvc.Filter{}))
		if stored != 0 && stored != len(batch) || err == nil && stored == 0 {
			f.Errorf("Record stored %d of %d entries and answered %v", stored, len(batch), err)
		}
	}
}

func wholeWindow(f *fixture) {
	newest, oldest := f.call(-day+time.Second), f.call(30*day-time.Second)
	f.record(oldest, newest)
	f.holds(acme, newest, oldest)
}

func anySize(f *fixture) {
	f.record()
	batch := f.calls(1050)
	f.record(append(batch, ended(batch[0], 500, "", 0))...) // far behind the first, which stays
	for i := 0; i < len(batch); i += 49 {
		got, found, err := f.store.Get(f.Context(), acme, batch[i].ID)
		if err != nil || !found || got != batch[i] {
			f.Errorf("Get(%s) = %+v, %t, %v, want %+v", batch[i].ID, got, found, err, batch[i])
		}
	}
}
