package storetest

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
)

// mergeSentences are those of logsvc.Merge, for entries that are recorded one after the other.
var mergeSentences = []sentence{
	{"an entry in progress takes the status, code and cause of a denial", progressIsDenied},
	{"an entry in progress takes the status, code, cause and latency of a report", progressIsReported},
	{"a denied entry takes those of a report", denialIsReported},
	{"a report of 0 ms is a report", reportOfNoTime},
	{"of two entries of equal rank the first stays", equalRankStays},
	{"a lower rank changes nothing of them", lowerRankStays},
	{"an entry in progress has the lowest rank even if it has a latency", progressWithLatency},
	{"the description comes from the first entry that a check made", firstDescriptionStays},
	{"a report's description stays only while there is no check's", checkDescribesLater},
	{"the call count is the larger of the two, whatever else they are", largerCount},
	{"the order in which the counts of a row arrive does not matter, nor how often", countsInAnyOrder},
	{"random sequences of records become what Merge makes of them", randomSequences},
}

// become records entries of one id, each in a batch of its own, and expects the store to hold want afterwards.
func (f *fixture) become(want logsvc.Entry, entries ...logsvc.Entry) {
	f.Helper()
	for _, e := range entries {
		f.record(e)
	}
	f.holdsEach(want)
}

func progressIsDenied(f *fixture) {
	call := f.call(0)
	want := denied(call, 403, "agent_denied", "no_agent")
	f.become(want, inProgress(call), want)
}

func progressIsReported(f *fixture) {
	call := f.call(0)
	want := reported(call, 503, "late", 7*time.Second)
	want.Cause = "a_cause"
	f.become(want, inProgress(call), want)
}

func denialIsReported(f *fixture) {
	call := f.call(0)
	want := reported(call, 404, "scope_denied", 12*time.Millisecond)
	want.Cause = "another_cause"
	f.become(want, denied(call, 403, "expired", "a_cause"), want)
}

func reportOfNoTime(f *fixture) {
	first, second := f.call(0), f.call(time.Minute)
	atOnce := reported(first, 200, "", 0)
	f.become(atOnce, inProgress(first), atOnce, reported(first, 500, "late", time.Second))
	f.become(reported(second, 404, "expired", 0), denied(second, 401, "expired", ""), reported(second, 404, "expired", 0))
}

func equalRankStays(f *fixture) {
	for i, first := range []func(logsvc.Entry) logsvc.Entry{
		inProgress,
		func(e logsvc.Entry) logsvc.Entry { return denied(e, 401, "disabled", "a_cause") },
		func(e logsvc.Entry) logsvc.Entry { return reported(e, 200, "", time.Second) },
	} {
		want := first(f.call(time.Duration(i) * time.Minute))
		other := want
		other.ErrorCode, other.Cause = "other", "other_cause"
		if want.Status != 0 {
			other.Status = 500
		}
		if want.Reported {
			other.Latency = time.Hour
		}
		f.become(want, want, other, want)
	}
}

func lowerRankStays(f *fixture) {
	done := f.call(0)
	f.become(done, done, denied(done, 403, "other", "other_cause"), inProgress(done))
	decided := denied(f.call(time.Minute), 403, "expired", "a_cause")
	f.become(decided, decided, inProgress(decided))
}

func progressWithLatency(f *fixture) {
	withLatency := func(e logsvc.Entry) logsvc.Entry { return reported(e, 0, "other", time.Hour) }
	running, decided, done := inProgress(f.call(0)), denied(f.call(time.Minute), 403, "expired", ""), f.call(2*time.Minute)
	f.become(running, running, withLatency(running))
	f.become(decided, withLatency(decided), decided, withLatency(decided))
	f.become(done, withLatency(done), done, withLatency(done))
}

func firstDescriptionStays(f *fixture) {
	call := f.call(0)
	report := redescribed(call)
	f.become(call, inProgress(call), redescribed(inProgress(call)), report, fromReport(report))
	late := f.call(time.Minute)
	late.FromReport = true
	f.become(late, late, fromReport(redescribed(late)))
}

func checkDescribesLater(f *fixture) {
	call := f.call(0)
	f.become(fromReport(call), fromReport(call))
	f.become(call, redescribed(fromReport(call)), inProgress(call), redescribed(inProgress(call)), fromReport(call))
	noKey := inProgress(f.call(time.Minute))
	noKey.KeyID, noKey.KeyName, noKey.KeyLast4, noKey.ExternalID = uuid.Nil, "", "", ""
	f.become(noKey, fromReport(redescribed(noKey)), noKey)
	f.same(f.all(acme, logsvc.Filter{KeyID: call.KeyID}), []logsvc.Entry{call})
}

// largerCount records three rows at once, each of another rank.
func largerCount(f *fixture) {
	rows := []logsvc.Entry{inProgress(f.call(0)), denied(f.call(time.Minute), 401, "invalid_token", ""), f.call(time.Hour)}
	become := func(want int, sent int, change func(logsvc.Entry) logsvc.Entry) {
		var batch, wanted []logsvc.Entry
		for _, e := range rows {
			batch, wanted = append(batch, counted(change(e), sent)), append(wanted, counted(e, want))
		}
		f.record(batch...)
		f.holdsEach(wanted...)
	}
	become(5, 5, one)
	for _, change := range []func(logsvc.Entry) logsvc.Entry{inProgress, fromReport, one} {
		become(5, 4, change)
		become(5, 5, change)
	}
	running := func(e logsvc.Entry) logsvc.Entry { return inProgress(fromReport(e)) }
	for n, change := range []func(logsvc.Entry) logsvc.Entry{inProgress, running, one} {
		become(6+n, 6+n, change)
		become(6+n, 6, change)
	}
	become(math.MaxInt32, math.MaxInt32, one)
	become(math.MaxInt32, 10, one)
}

// countsInAnyOrder records the counts of ten rows, each twice, in batches of every size.
func countsInAnyOrder(f *fixture) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 8 {
		rows := f.calls(10)
		var sent, want []logsvc.Entry
		for i := range rows {
			rows[i].WorkspaceID = string(rune('a' + round))
			rows[i] = denied(rows[i], 401, "invalid_token", "")
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

// randomSequences records up to seven records of each of 40 calls, in one random order, in batches of random sizes, and
// compares what the store holds with the model.
func randomSequences(f *fixture) {
	for seed := range uint64(2) {
		random := rand.New(rand.NewPCG(seed, 3))
		var sent []logsvc.Entry
		for _, call := range f.calls(40) {
			call.WorkspaceID = "w" + string(rune('a'+seed))
			for range 1 + random.IntN(7) {
				sent = append(sent, randomRecord(random, call))
			}
		}
		random.Shuffle(len(sent), func(i, j int) { sent[i], sent[j] = sent[j], sent[i] })
		m := model{}
		m.record(sent...)
		workspaceID := sent[0].WorkspaceID
		for len(sent) > 0 {
			n := min(1+random.IntN(60), len(sent))
			f.record(sent[:n]...)
			sent = sent[n:]
		}
		f.same(f.all(workspaceID, logsvc.Filter{}), m.list(workspaceID, logsvc.Filter{}, f.everything()))
	}
}

// randomRecord returns a random record of a call: of any rank, of a check or a report, with any description and count.
func randomRecord(random *rand.Rand, call logsvc.Entry) logsvc.Entry {
	switch status := 400 + random.IntN(5); random.IntN(4) {
	case 0:
		call = inProgress(call)
	case 1:
		call = reported(call, 0, "in_progress", time.Second)
	case 2:
		call = denied(call, status, "expired", "a_cause")
	case 3:
		call = reported(call, status, "", time.Duration(random.IntN(3))*time.Millisecond)
	}
	if random.IntN(2) == 0 {
		call = redescribed(call)
	}
	if random.IntN(2) == 0 {
		call = fromReport(call)
	}
	return counted(call, 1+random.IntN(4))
}
