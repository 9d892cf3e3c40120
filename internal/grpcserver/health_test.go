package grpcserver

import (
	"testing"

	"google.golang.org/grpc/health/grpc_health_v1"
)

func TestHealthFollowsSetReady(t *testing.T) {
	f := newFixture(t, &keys{})
	health := grpc_health_v1.NewHealthClient(f.conn)
	for _, step := range []struct {
		ready bool
		want  grpc_health_v1.HealthCheckResponse_ServingStatus
	}{
		{true, grpc_health_v1.HealthCheckResponse_SERVING},
		{false, grpc_health_v1.HealthCheckResponse_NOT_SERVING},
		{true, grpc_health_v1.HealthCheckResponse_SERVING},
	} {
		f.server.SetReady(step.ready)
		answer, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		must(t, err)
		if answer.GetStatus() != step.want {
			t.Errorf("ready %v: health is %v", step.ready, answer.GetStatus())
		}
	}
}
