package logsvc_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/logsvc"
)

// follow follows the store of a service until the test ends.
func follow(t *testing.T, service *logsvc.Service) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		service.FollowStore(ctx, func(error) {})
	}()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(stop)
	return stop
}

// reader reads a tail.
type reader struct {
	t *testing.T
	// messages are taken one by one: the tail waits meanwhile.
	messages chan logsvc.TailMessage
	ended    chan error
	// endedBy has the fault with which the tail ended the stream.
	endedBy chan error
	cancel  context.CancelFunc
	last    logsvc.TailMessage
}

// tail opens a tail, and reads its first message.
func tail(t *testing.T, service *logsvc.Service, query logsvc.TailQuery) *reader {
	t.Helper()
	r := startTail(t, service, query)
	select {
	case r.last = <-r.messages:
	case err := <-r.ended:
		r.ended <- err
		t.Fatalf("the tail ended with %v", err)
	}
	return r
}

func startTail(t *testing.T, service *logsvc.Service, query logsvc.TailQuery) *reader {
	query.WorkspaceID = "acme"
	ctx, cancel := context.WithCancel(t.Context())
	r := &reader{
		t: t, messages: make(chan logsvc.TailMessage), ended: make(chan error, 1), endedBy: make(chan error, 1), cancel: cancel,
	}
	go func() {
		r.ended <- service.Tail(ctx, query, func(m logsvc.TailMessage) error {
			select {
			case r.messages <- m:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}, func(err error) {
			r.endedBy <- err
			cancel()
		})
	}()
	t.Cleanup(func() { cancel(); <-r.ended })
	return r
}

func reasonOf(err error) fault.Reason {
	f, _ := errors.AsType[*fault.Error](err)
	if f == nil {
		return fault.Reason{}
	}
	return f.Reason
}

// next returns the entries of the next message that has some.
func (r *reader) next() (entries []logsvc.Entry) {
	r.t.Helper()
	late := time.After(10 * time.Second)
	for len(entries) == 0 {
		select {
		case r.last = <-r.messages:
		case err := <-r.ended:
			r.ended <- err
			r.t.Fatalf("the tail ended with %v", err)
		case <-late:
			r.t.Fatal("no message")
		}
		for _, e := range r.last.Entries {
			entries = append(entries, *e)
		}
	}
	return entries
}

// gets reads until the tail has sent these entries, as they are.
func (r *reader) gets(want ...logsvc.Entry) {
	r.t.Helper()
	missing := map[logsvc.Entry]bool{}
	for _, e := range want {
		missing[e] = true
	}
	for len(missing) > 0 {
		for _, e := range r.next() {
			delete(missing, e)
		}
	}
}

// expectEnd expects the end of the tail with a fault, although the reader does not read.
func (r *reader) expectEnd(want fault.Reason) {
	r.t.Helper()
	if err := <-r.endedBy; reasonOf(err) != want {
		r.t.Errorf("ended with %v, want %v", err, want)
	}
	err := <-r.ended
	r.ended <- err
	if err == nil {
		r.t.Error("Tail returned no error")
	}
}

func TestTailSendsFirstRecordsAndReports(t *testing.T) {
	service, _ := newService(t)
	follow(t, service)
	record(t, service, entryAt(noon.Add(-time.Hour)))
	everything := tail(t, service, logsvc.TailQuery{})
	failed := tail(t, service, logsvc.TailQuery{Filter: logsvc.Filter{StatusClass: 5}})
	if !everything.last.Gap.IsZero() || len(everything.last.Entries) > 0 || !everything.last.CompleteTo.Equal(noon) {
		t.Errorf("the first message is %+v", everything.last)
	}
	reported, other := entryAt(noon), entryAt(noon.Add(-20*time.Hour))
	reported.Status = 500
	begun := reported
	begun.Status, begun.Reported, begun.Latency = 0, false, 0
	foreign := entryAt(noon)
	foreign.WorkspaceID = "globex"
	record(t, service, begun, foreign)
	everything.gets(begun)
	record(t, service, other)
	everything.gets(other)
	record(t, service, begun, reported)
	everything.gets(reported)
	if got := failed.next(); len(got) != 1 || got[0] != reported {
		t.Errorf("of the calls that failed: %+v", got)
	}
}

func TestTailSendsAReportOfASealedRowAsAWhole(t *testing.T) {
	service, clock := newService(t)
	begun := entryAt(noon)
	begun.Status, begun.Reported, begun.Latency = 0, false, 0
	record(t, service, begun)
	clock.set(noon.Add(25 * time.Hour))
	must(t, service.Seal(t.Context()))
	follow(t, service)
	r := tail(t, service, logsvc.TailQuery{})
	report := begun
	report.Status, report.Reported, report.FromReport, report.Endpoint = 200, true, true, "/cut"
	record(t, service, report)
	want := begun
	want.Status, want.Reported = 200, true
	r.gets(want)
}

func TestSlowReaderIsEndedAndResumesWithoutLoss(t *testing.T) {
	service, _ := newService(t)
	follow(t, service)
	slow, fast := tail(t, service, logsvc.TailQuery{}), tail(t, service, logsvc.TailQuery{})
	var all []logsvc.Entry
	for batch := range 13 {
		var entries []logsvc.Entry
		for i := range 1000 {
			entries = append(entries, entryAt(noon.Add(time.Duration(batch*1000+i)*time.Millisecond)))
		}
		record(t, service, entries...)
		fast.gets(entries...)
		all = append(all, entries...)
	}
	slow.expectEnd(fault.TailTooSlow)
	tail(t, service, logsvc.TailQuery{CompleteTo: slow.last.CompleteTo}).gets(all...)
}

func TestLargeRowsFillTheBufferEarlier(t *testing.T) {
	service, _ := newService(t)
	follow(t, service)
	slow, fast := tail(t, service, logsvc.TailQuery{}), tail(t, service, logsvc.TailQuery{})
	large := make([]logsvc.Entry, 5000)
	for i := range large {
		large[i] = entryAt(noon)
		large[i].Endpoint = fmt.Sprintf("/%02000d", i)
	}
	for _, chunk := range [][]logsvc.Entry{large[:2500], large[2500:]} {
		record(t, service, chunk...)
		fast.gets(chunk...)
	}
	slow.expectEnd(fault.TailTooSlow)
}

func TestResumedTailSendsTheLastMinutesAgain(t *testing.T) {
	service, clock := newService(t)
	follow(t, service)
	broke := noon.Add(-25 * time.Minute)
	older, within := entryAt(broke.Add(-3*time.Minute)), entryAt(broke.Add(-time.Minute))
	later, now, ahead := entryAt(broke.Add(time.Minute)), entryAt(noon), entryAt(noon.Add(time.Hour))
	record(t, service, older, within, later, now, ahead)
	r := tail(t, service, logsvc.TailQuery{CompleteTo: broke})
	if want := broke.Add(-logsvc.TailMargin); !r.last.Gap.Equal(want) || !r.last.CompleteTo.Equal(broke) {
		t.Errorf("the first message is %+v", r.last)
	}
	// The oldest stretch is first, so that it need not be sent again if the stream breaks.
	for _, want := range [][]logsvc.Entry{{within, later}, {now, ahead}} {
		if got := r.next(); !slices.Equal(got, want) {
			t.Errorf("sent %v, want %v", got, want)
		}
		if limit := want[0].Time().Add(logsvc.TailMargin); r.last.CompleteTo.After(limit) {
			t.Errorf("complete to %v with the rows of %v", r.last.CompleteTo, want[0].Time())
		}
	}
	clock.set(noon.Add(time.Second))
	live := entryAt(noon.Add(time.Second))
	record(t, service, live)
	r.gets(live)
	if !r.last.CompleteTo.After(noon) {
		t.Errorf("after that it is complete to %v", r.last.CompleteTo)
	}
}

func TestResumedTailThatFindsNothingMakesProgress(t *testing.T) {
	service, _ := newService(t)
	follow(t, service)
	broke := noon.Add(-25 * time.Minute)
	r := tail(t, service, logsvc.TailQuery{CompleteTo: broke, Filter: logsvc.Filter{Method: "PUT"}})
	for i := range 3 {
		if m := <-r.messages; !m.CompleteTo.Equal(broke.Add(time.Duration(i)*10*time.Minute)) || len(m.Entries) > 0 {
			t.Errorf("message %d is %+v", i, m)
		}
	}
}

func TestNothingIsLostWhileATailResumes(t *testing.T) {
	service, _ := newService(t)
	follow(t, service)
	var mu sync.Mutex
	var all []logsvc.Entry
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			e := entryAt(noon.Add(time.Duration(i) * time.Millisecond))
			if _, err := service.Record(t.Context(), []logsvc.Entry{e}); err != nil {
				t.Errorf("Record: %v", err)
				return
			}
			mu.Lock()
			all = append(all, e)
			mu.Unlock()
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	seen := map[uuid.UUID]bool{}
	query := logsvc.TailQuery{CompleteTo: noon}
	for range 20 {
		r := tail(t, service, query)
		for range 3 {
			for _, e := range r.next() {
				seen[e.ID] = true
			}
		}
		query.CompleteTo = r.last.CompleteTo
		r.cancel()
	}
	close(stop)
	<-stopped
	r := tail(t, service, query)
	end := entryAt(noon.Add(time.Hour))
	record(t, service, end)
	for !seen[end.ID] {
		for _, e := range r.next() {
			seen[e.ID] = true
		}
	}
	for _, e := range all {
		if !seen[e.ID] {
			t.Fatalf("row %v of %d was not sent", e.Time(), len(all))
		}
	}
}

func TestTailsOfAWorkspaceAreLimited(t *testing.T) {
	service, _ := newService(t)
	follow(t, service)
	var tails []*reader
	for range 20 {
		tails = append(tails, tail(t, service, logsvc.TailQuery{}))
	}
	r := startTail(t, service, logsvc.TailQuery{})
	err := <-r.ended
	r.ended <- err
	if reasonOf(err) != fault.TooManyTails {
		t.Errorf("one more: %v", err)
	}
	tails[7].cancel()
	<-tails[7].ended
	tails[7].ended <- nil
	tail(t, service, logsvc.TailQuery{})
}

func TestTailsEndWithTheService(t *testing.T) {
	service, _ := newService(t)
	stop := follow(t, service)
	r := tail(t, service, logsvc.TailQuery{})
	stop()
	r.expectEnd(fault.StoreUnavailable)
	r = startTail(t, service, logsvc.TailQuery{})
	err := <-r.ended
	r.ended <- err
	if reasonOf(err) != fault.StoreUnavailable {
		t.Errorf("after that: %v", err)
	}
}
