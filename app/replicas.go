package app

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// avoidTime is how long a replica gets no calls after one that it did not respond to in time. Then one call tries it again.
const avoidTime = 5 * time.Second

// silentTime is how long a replica must have been silent when a deadline passes before it is avoided. Callers over REST choose
// deadlines, too: a short one says nothing about the replica. It is below each of attemptTimes.
const silentTime = 400 * time.Millisecond

// replicasPolicy is the name of the load balancing policy below in the service config.
const replicasPolicy = "keytrail_replicas"

// gRPC finds policies by name, and reads the names before the first connection.
func init() {
	balancer.Register(base.NewBalancerBuilder(replicasPolicy, pickerBuilder{time.Now}, base.Config{}))
}

// pickerBuilder makes a picker each time a connection to a replica begins or ends.
type pickerBuilder struct{ now func() time.Time }

// Build implements base.PickerBuilder.
func (b pickerBuilder) Build(info base.PickerBuildInfo) balancer.Picker {
	if len(info.ReadySCs) == 0 {
		return base.NewErrPicker(balancer.ErrNoSubConnAvailable)
	}
	p := &picker{now: b.now}
	for conn := range info.ReadySCs {
		p.replicas = append(p.replicas, &replica{conn: conn, picker: p})
	}
	return p
}

// picker gives calls to the replicas in turn (round robin), and avoids those that do not respond: a process that is paused, or
// whose machine hangs, keeps its connections. gRPC's own round_robin would give it a third of the calls until the keepalive has
// closed its connection, and repeated calls, too.
type picker struct {
	replicas []*replica
	next     atomic.Uint32
	now      func() time.Time
}

// replica is a connection to a replica.
type replica struct {
	conn   balancer.SubConn
	picker *picker
	// avoided is when it may get calls again, in nanoseconds since 1970; 0 = it is not avoided.
	avoided atomic.Int64
}

// pickedReplica is where a call finds the replica that it was given to. It is also the key of its pointer in the context.
type pickedReplica struct{ atomic.Pointer[replica] }

// Pick implements balancer.Picker.
func (p *picker) Pick(info balancer.PickInfo) (balancer.PickResult, error) {
	r := p.pick()
	if picked, ok := info.Ctx.Value(pickedReplica{}).(*pickedReplica); ok {
		picked.Store(r)
	}
	began := p.now()
	return balancer.PickResult{SubConn: r.conn, Done: func(call balancer.DoneInfo) {
		switch {
		case call.BytesReceived && r.avoided.Load() != 0:
			r.avoided.Store(0)
		case !call.BytesReceived && isLate(info.Ctx, call.Err) && p.now().Sub(began) >= silentTime:
			r.avoided.Store(p.now().Add(avoidTime).UnixNano())
		}
	}}, nil
}

// isLate reports whether a call ended because of the time that it took.
func isLate(ctx context.Context, err error) bool {
	return status.Code(err) == codes.DeadlineExceeded || err != nil && context.Cause(ctx) == errLate
}

// pick returns the next replica that is not avoided, or the next one if all are.
func (p *picker) pick() *replica {
	first := p.next.Add(1)
	at := func(i int) *replica { return p.replicas[(first+uint32(i))%uint32(len(p.replicas))] }
	for i := range p.replicas {
		if p.mayCall(at(i)) {
			return at(i)
		}
	}
	return at(0)
}

// mayCall reports whether a replica is not avoided. When its time is over, it does so for one call.
func (p *picker) mayCall(r *replica) bool {
	avoided := r.avoided.Load()
	if avoided == 0 {
		return true
	}
	now := p.now()
	return now.UnixNano() >= avoided && r.avoided.CompareAndSwap(avoided, now.Add(avoidTime).UnixNano())
}

// hasOther reports whether another replica is connected and not avoided.
func (r *replica) hasOther() bool {
	return slices.ContainsFunc(r.picker.replicas, func(other *replica) bool { return other != r && other.avoided.Load() == 0 })
}
