package app

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// maxAttempts is how often a call is made at most. The last attempt has the deadline of the service config.
const maxAttempts = 3

const (
	// callsPerRepeat is how many calls allow one more repetition, so that slow replicas get at most a tenth more calls.
	callsPerRepeat = 10
	// repeatsAtOnce is how many repetitions are allowed at most without further calls. When one of three replicas is paused, a
	// sixth of the checks of a second are late before it is avoided: that is enough for about 800 calls a second.
	repeatsAtOnce = 100
)

// attemptTimes are how long a replica may take before the call is repeated on another one. They have the calls that are safe to
// repeat. Checks and reports take milliseconds. A list or a summary waits for its turn for at most 1 s and then has a search
// budget of 250 ms; a call that meets a paused replica must end within 2 s all the same. Summaries without a budget take as long
// from some 20 M rows on (docs/scale.md): they end with the last attempt, which has the whole deadline.
var attemptTimes = map[string]time.Duration{
	authv1.CheckService_Check_FullMethodName:              500 * time.Millisecond,
	authv1.CheckService_Report_FullMethodName:             500 * time.Millisecond,
	authv1.KeyService_GetKey_FullMethodName:               time.Second,
	authv1.KeyService_ListKeys_FullMethodName:             time.Second,
	authv1.KeyService_FindKeys_FullMethodName:             time.Second,
	authv1.KeyService_GetCatalog_FullMethodName:           time.Second,
	authv1.SessionService_GetSession_FullMethodName:       time.Second,
	logsv1.LogService_GetRequestLog_FullMethodName:        1500 * time.Millisecond,
	logsv1.LogService_ListRequestLogs_FullMethodName:      1500 * time.Millisecond,
	logsv1.LogService_ListLogWorkspaces_FullMethodName:    1500 * time.Millisecond,
	logsv1.LogService_SummarizeRequestLogs_FullMethodName: 1500 * time.Millisecond,
	logsv1.LogService_ListLogKeys_FullMethodName:          1500 * time.Millisecond,
}

// errLate is why an attempt was cancelled that a replica did not complete in time.
var errLate = errors.New("the replica did not respond in time")

// lateRepeats repeats the late calls of a connection, as far as its credit allows. It is safe for concurrent use.
type lateRepeats struct {
	// credit is how many repetitions are allowed, times callsPerRepeat.
	credit atomic.Int64
}

func newLateRepeats() *lateRepeats {
	l := &lateRepeats{}
	l.credit.Store(repeatsAtOnce * callsPerRepeat)
	return l
}

// intercept implements grpc.UnaryClientInterceptor. It repeats a call that a replica did not complete in time on another one.
// gRPC's retries do not do that: they need a status from the replica, or the end of its connection.
func (l *lateRepeats) intercept(ctx context.Context, method string, request, response any, conn *grpc.ClientConn,
	invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	call := func(ctx context.Context) error { return invoke(ctx, method, request, response, conn, options...) }
	limit, ok := attemptTimes[method]
	if !ok {
		return call(ctx)
	}
	if l.credit.Load() < repeatsAtOnce*callsPerRepeat { // concurrent calls may exceed it by one each, which does no harm
		l.credit.Add(1)
	}
	for range maxAttempts - 1 {
		if late, err := l.attempt(ctx, limit, call); !late {
			return err
		}
	}
	return call(ctx)
}

// attempt makes a call, and cancels it if it is late and may be repeated. Any other late call continues: its replica may be slow
// and not paused.
func (l *lateRepeats) attempt(ctx context.Context, limit time.Duration, call func(context.Context) error) (late bool, err error) {
	picked := &pickedReplica{}
	ctx, cancel := context.WithCancelCause(context.WithValue(ctx, pickedReplica{}, picked))
	defer cancel(nil)
	timer := time.AfterFunc(limit, func() {
		if r := picked.Load(); r != nil && r.hasOther() && l.spend() {
			cancel(errLate)
		}
	})
	defer timer.Stop()
	err = call(ctx)
	return status.Code(err) == codes.Canceled && context.Cause(ctx) == errLate, err
}

// spend reports whether the credit allows a repetition, and takes it.
func (l *lateRepeats) spend() bool {
	if l.credit.Add(-callsPerRepeat) >= 0 {
		return true
	}
	l.credit.Add(callsPerRepeat)
	return false
}
