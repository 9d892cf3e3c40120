package serve

import (
	"testing"

	"google.golang.org/grpc/health/grpc_health_v1"
)

func TestHealthIsWhatItWasToldToBe(t *testing.T) {
	w := newWorld(t, &keys{})
	health := grpc_health_v1.NewHealthClient(w.conn)
	for _, step := range []struct {
		ready bool
		want  grpc_health_v1.HealthCheckResponse_ServingStatus
	}{
		{true, grpc_health_v1.HealthCheckResponse_SERVING},
		{false, grpc_health_v1.HealthCheckResponse_NOT_SERVING},
		{true, grpc_health_v1.HealthCheckResponse_SERVING},
	} {
		w.server.SetReady(step.ready)
		answer, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		must(t, err)
		if answer.GetStatus() != step.want {
			t.Errorf("ready %v: health is %v", step.ready, answer.GetStatus())
		}
	}
}
