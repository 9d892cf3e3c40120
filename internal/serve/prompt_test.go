package serve

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/fault"
)

func TestRequestsArriveInTime(t *testing.T) {
	for method, limit := range map[string]time.Duration{
		authv1.KeyService_GetKey_FullMethodName:    requestTime,
		grpc_health_v1.Health_Check_FullMethodName: headerTime,
		grpc_health_v1.Health_Watch_FullMethodName: headerTime,
	} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, &keys{})
				began := time.Now()
				// A call whose request never comes.
				stream, err := w.conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
				must(t, err)
				expectReason(t, "a request that never comes", stream.RecvMsg(&authv1.GetKeyResponse{}), codes.DeadlineExceeded, fault.RequestLate)
				if took := time.Since(began); took != limit {
					t.Errorf("answered after %v, want %v", took, limit)
				}
			})
		})
	}
}

func TestReflectionIsForFewAtATime(t *testing.T) {
	w := newWorld(t, &keys{})
	client := grpc_reflection_v1.NewServerReflectionClient(w.conn)
	ask := func() (grpc_reflection_v1.ServerReflection_ServerReflectionInfoClient, error) {
		stream, err := client.ServerReflectionInfo(t.Context())
		must(t, err)
		err = stream.Send(&grpc_reflection_v1.ServerReflectionRequest{
			MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{},
		})
		if !errors.Is(err, io.EOF) { // refused already: Recv says why
			must(t, err)
		}
		_, err = stream.Recv()
		return stream, err
	}
	open, err := ask()
	must(t, err)
	for range maxReflections - 1 {
		_, err := ask()
		must(t, err)
	}
	_, err = ask()
	expectReason(t, "one more", err, codes.ResourceExhausted, fault.ReflectionBusy)
	must(t, open.CloseSend())
	if _, err := open.Recv(); err == nil {
		t.Error("a stream goes on that was ended")
	}
	if _, err := ask(); err != nil {
		t.Errorf("after one has ended: %v", err)
	}
}

func breakDown() error { panic("broken") }

func TestPanicOfARequestThatArrivesComesThrough(t *testing.T) {
	defer func() {
		p := fmt.Sprint(recover())
		if !strings.HasPrefix(p, "broken\n") || !strings.Contains(p, "breakDown") {
			t.Errorf("recovered %v, want the panic and where it was", p)
		}
	}()
	err := within(time.Minute, breakDown)
	t.Errorf("answered %v", err)
}
