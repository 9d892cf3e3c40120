// Package envoy serves two gRPC services of Envoy's API, with which Envoy checks and reports calls without a backend's help:
// external authorization and the access log. It translates their messages to CheckService and back, and does nothing else.
//
// The messages are described in
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/auth/v3/external_auth.proto,
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/auth/v3/attribute_context.proto,
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/accesslog/v3/als.proto and
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/data/accesslog/v3/accesslog.proto.
package envoy

import (
	"log/slog"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/agentpath"
)

const (
	// filterNamespace is where Envoy puts the dynamic metadata of a check, and where the access log has it:
	// https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/ext_authz_filter#dynamic-metadata
	filterNamespace = "envoy.filters.http.ext_authz"
	// tokenField is the field of the dynamic metadata with the report token.
	tokenField = "report_token"
	// deniedField is the field with the HTTP status of a denial.
	deniedField = "denied_status"
)

// logInterval is the minimum time between two log lines about the same kind of error.
const logInterval = time.Minute

// Register registers both services on a gRPC server, whose chain has verified the caller and its role. paths read the called agent
// from the path of a call.
func Register(server grpc.ServiceRegistrar, checks authv1.CheckServiceServer, paths agentpath.Templates, log *slog.Logger) {
	authv3.RegisterAuthorizationServer(server, &authorization{checks: checks, paths: paths})
	accesslogv3.RegisterAccessLogServiceServer(server, &accessLog{
		checks: checks, log: log, refused: rate.Sometimes{Interval: logInterval}, delayed: rate.Sometimes{Interval: logInterval},
	})
}
