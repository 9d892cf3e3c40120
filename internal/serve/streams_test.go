package serve

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"

	"github.com/keytrail/keytrail/internal/fault"
)

func TestStopEndsStreamsThatHaveNoEnd(t *testing.T) {
	w := newWorld(t, &keys{})
	watch, err := grpc_health_v1.NewHealthClient(w.conn).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	must(t, err)
	_, err = watch.Recv()
	must(t, err)
	reflection, err := grpc_reflection_v1.NewServerReflectionClient(w.conn).ServerReflectionInfo(t.Context())
	must(t, err)
	must(t, reflection.Send(&grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{},
	}))
	_, err = reflection.Recv()
	must(t, err)
	must(t, w.stop())
	for err == nil {
		_, err = watch.Recv() // first, perhaps, that the service is not serving any more
	}
	expectReason(t, "the watch", err, codes.Unavailable, fault.ServerStopping)
	_, err = reflection.Recv()
	expectReason(t, "the reflection", err, codes.Unavailable, fault.ServerStopping)
	if delay := retryDelay(err); delay != retryAfter {
		t.Errorf("to be tried again after %v", delay)
	}
	if records := w.log.records(t); len(records) != 0 {
		t.Errorf("the stop cut something off: %v", records)
	}
}

func TestStopDoesNotWaitForASilentConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &keys{})
		conn, err := w.listener.DialContext(t.Context())
		must(t, err)
		defer conn.Close()
		_, err = conn.Read(make([]byte, 1)) // the server's settings: it has accepted the connection
		must(t, err)
		began := time.Now()
		must(t, w.stop())
		if took := time.Since(began); took > drainTime {
			t.Errorf("the stop took %v", took)
		}
	})
}
