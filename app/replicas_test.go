package app

import (
	"encoding/json"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// testConn is a connection to a replica.
type testConn struct {
	balancer.SubConn
	id int
}

// late is how a call ends to which the replica did not respond in time, and responded how any other ends.
var (
	late      = balancer.DoneInfo{Err: status.Error(codes.DeadlineExceeded, "late")}
	responded = balancer.DoneInfo{BytesReceived: true}
)

// newTestPicker returns a picker of n replicas with a clock. call makes a call, whose end ends returns, and returns its
// replica. A call that is late ends after takes.
func newTestPicker(t *testing.T, n int, now *time.Time, takes time.Duration) (call func(ends func(int) balancer.DoneInfo) int) {
	t.Helper()
	info := base.PickerBuildInfo{ReadySCs: map[balancer.SubConn]base.SubConnInfo{}}
	for id := range n {
		info.ReadySCs[&testConn{id: id}] = base.SubConnInfo{}
	}
	p := pickerBuilder{func() time.Time { return *now }}.Build(info)
	return func(ends func(int) balancer.DoneInfo) int {
		picked, err := p.Pick(balancer.PickInfo{Ctx: t.Context()})
		if err != nil {
			t.Fatal(err)
		}
		id := picked.SubConn.(*testConn).id
		end := ends(id)
		if end.Err != nil {
			*now = now.Add(takes)
		}
		picked.Done(end)
		return id
	}
}

func TestReplicasThatDoNotRespondAreAvoided(t *testing.T) {
	now := time.Now()
	call := newTestPicker(t, 3, &now, silentTime)
	paused := func(id int) balancer.DoneInfo {
		if id == 1 {
			return late
		}
		return responded
	}
	calls := func(ends func(int) balancer.DoneInfo) (counts [3]int) {
		for range 30 {
			counts[call(ends)]++
		}
		return counts
	}
	if counts := calls(func(int) balancer.DoneInfo { return responded }); counts != [3]int{10, 10, 10} {
		t.Errorf("calls in turn: %v", counts)
	}
	if counts := calls(paused); counts[1] != 1 {
		t.Errorf("a paused replica: %v, want one call to it", counts)
	}
	now = now.Add(avoidTime)
	if counts := calls(paused); counts[1] != 1 {
		t.Errorf("after %v: %v, want one call to it", avoidTime, counts)
	}
	now = now.Add(avoidTime)
	if counts := calls(func(int) balancer.DoneInfo { return responded }); counts[1] < 9 {
		t.Errorf("when it continues: %v", counts)
	}
	calls(func(int) balancer.DoneInfo { return late })
	if counts := calls(func(int) balancer.DoneInfo { return late }); counts != [3]int{10, 10, 10} {
		t.Errorf("all replicas are paused: %v", counts)
	}
}

// TestShortDeadlinesOfCallersAvoidNoReplica: a caller over REST chooses its deadline.
func TestShortDeadlinesOfCallersAvoidNoReplica(t *testing.T) {
	now := time.Now()
	call := newTestPicker(t, 3, &now, silentTime-1)
	var counts [3]int
	for range 30 {
		counts[call(func(id int) balancer.DoneInfo {
			if id == 1 {
				return late
			}
			return responded
		})]++
	}
	if counts != [3]int{10, 10, 10} {
		t.Errorf("calls after deadlines below %v: %v", silentTime, counts)
	}
}

func TestNoReplicaIsConnected(t *testing.T) {
	if _, err := (pickerBuilder{time.Now}).Build(base.PickerBuildInfo{}).Pick(balancer.PickInfo{}); err != balancer.ErrNoSubConnAvailable {
		t.Error(err)
	}
}

// TestEveryMethodHasADeadline: a call to a replica that does not respond would otherwise never end. Streams have none.
func TestEveryMethodHasADeadline(t *testing.T) {
	var config struct {
		MethodConfig []struct {
			Name    []struct{ Service, Method string }
			Timeout string
		}
	}
	if err := json.Unmarshal([]byte(GRPCServiceConfig), &config); err != nil {
		t.Fatal(err)
	}
	timeouts := map[string]string{} // by service/method; service/ is for its other methods
	for _, methods := range config.MethodConfig {
		for _, name := range methods.Name {
			timeouts[name.Service+"/"+name.Method] = methods.Timeout
		}
	}
	services := []grpc.ServiceDesc{
		authv1.CheckService_ServiceDesc, authv1.KeyService_ServiceDesc, authv1.SessionService_ServiceDesc,
		logsv1.LogService_ServiceDesc,
	}
	for _, service := range services {
		for _, stream := range service.Streams {
			if timeout, ok := timeouts[service.ServiceName+"/"+stream.StreamName]; !ok || timeout != "" {
				t.Errorf("%s/%s has the timeout %q, or that of other methods", service.ServiceName, stream.StreamName, timeout)
			}
		}
		for _, method := range service.Methods {
			timeout, ok := timeouts[service.ServiceName+"/"+method.MethodName]
			if !ok {
				timeout = timeouts[service.ServiceName+"/"]
			}
			// The trail gives its own deadline to RecordRequestLogs.
			if _, err := time.ParseDuration(timeout); (err == nil) != (method.MethodName != "RecordRequestLogs") {
				t.Errorf("%s/%s has the timeout %q", service.ServiceName, method.MethodName, timeout)
			}
		}
	}
}
