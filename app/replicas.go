package app

import (
	"sync/atomic"
	"time"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// avoidTime is how long a replica gets no calls after one that it did not respond to in time. Then one call tries it again.
const avoidTime = 5 * time.Second

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
		p.replicas = append(p.replicas, &replica{conn: conn})
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
	conn balancer.SubConn
	// avoided is when it may get calls again, in nanoseconds since 1970; 0 = it is not avoided.
	avoided atomic.Int64
}

// Pick implements balancer.Picker.
func (p *picker) Pick(balancer.PickInfo) (balancer.PickResult, error) {
	first := p.next.Add(1)
	at := func(i int) *replica { return p.replicas[(first+uint32(i))%uint32(len(p.replicas))] }
	for i := range p.replicas {
		if p.mayCall(at(i)) {
			return p.result(at(i)), nil
		}
	}
	return p.result(at(0)), nil
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

func (p *picker) result(r *replica) balancer.PickResult {
	return balancer.PickResult{SubConn: r.conn, Done: func(call balancer.DoneInfo) {
		switch {
		case call.BytesReceived && r.avoided.Load() != 0:
			r.avoided.Store(0)
		case !call.BytesReceived && status.Code(call.Err) == codes.DeadlineExceeded:
			r.avoided.Store(p.now().Add(avoidTime).UnixNano())
		}
	}}
}
