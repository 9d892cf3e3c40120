// Package gateway serves the REST API of both services, forward-auth and the console on one HTTP port. REST is JSON as protojson
// writes it, with errors as google.rpc.Status. The gateway calls the services through client connections with the token of each
// request, so that every request passes the checks of their servers.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	consolefiles "github.com/keytrail/keytrail/console"
	authgateway "github.com/keytrail/keytrail/gen/gateway/keytrail/auth/v1"
	logsgateway "github.com/keytrail/keytrail/gen/gateway/keytrail/logs/v1"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/agentpath"
	"github.com/keytrail/keytrail/internal/grpcserver"
	"github.com/keytrail/keytrail/internal/telemetry"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// Config configures the gateway.
type Config struct {
	// Auth and Logs are the connections to the two services.
	Auth, Logs grpc.ClientConnInterface
	// Verifier verifies the tokens of requests; their roles are checked, too, before their bodies are read.
	Verifier *access.Verifier
	// Observe counts the requests that the gateway refuses as calls of their RPC; nil = they are not counted.
	Observe grpc.UnaryServerInterceptor
	// CORSOrigins are the web origins whose pages may call, e.g. https://console.example.com.
	CORSOrigins []string
	// AgentPaths are the paths of the calls of forward-auth.
	AgentPaths agentpath.Templates
	// Console configures the console, which is served without a token.
	Console Console
	// Loopback means that the gateway listens on a loopback address: it then refuses requests for other hosts.
	Loopback bool
	Log      *slog.Logger
}

// New returns the handler of the gateway.
func New(ctx context.Context, config Config) (http.Handler, error) {
	useStrictQueries()
	routes, err := readRoutes()
	if err != nil {
		return nil, fmt.Errorf("read the REST routes: %w", err)
	}
	authorizer := access.NewAuthorizer(config.Verifier)
	if err := authorizer.ReadRules(routes.services()); err != nil {
		return nil, fmt.Errorf("read the rules of the REST routes: %w", err)
	}
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &marshaler{runtime.JSONPb{MarshalOptions: jsonOptions}}),
		// No X-HTTP-Method-Override, and no form that is posted to a GET route: a web page of any origin could send both.
		runtime.WithDisablePathLengthFallback(),
		runtime.WithErrorHandler(errorHandler(config.Log)),
		runtime.WithRoutingErrorHandler(routes.routingErrorHandler),
		// In this order: only authenticated callers learn what is wrong with a request.
		runtime.WithMiddlewares(nameRoute, routes.authenticate(authorizer, config.Observe), limitBody, routes.refuseIgnored, pathInUTF8),
		// The library forwards Authorization by itself. Other headers must not become metadata: by default
		// Grpc-Metadata-Authorization would become a second token.
		runtime.WithIncomingHeaderMatcher(noHeader),
		runtime.WithOutgoingHeaderMatcher(noHeader),
		runtime.WithOutgoingTrailerMatcher(noHeader),
	)
	auth := connection{config.Auth, grpcserver.AuthMessageBytes, uuid7.NewGenerator(), config.Log}
	if err := register(ctx, mux, auth, config); err != nil {
		return nil, fmt.Errorf("register the REST routes: %w", err)
	}
	files, err := consolefiles.Files()
	if err != nil {
		return nil, fmt.Errorf("open the console: %w", err)
	}
	handler, err := withConsole(withOpenAPI(mux), files, config.Console)
	if err != nil {
		return nil, err
	}
	handler, err = refuseForeignOrigins(handler, config.CORSOrigins)
	if err != nil {
		return nil, err
	}
	if config.Loopback {
		handler = refuseForeignHosts(handler)
	}
	handler = withSecurityHeaders(withCORS(recoverPanics(handler, config.Log), config.CORSOrigins), config.Loopback)
	return withForwardAuth(handler, &forwardAuth{
		authorizer: authorizer, observe: config.Observe, checks: authv1.NewCheckServiceClient(auth),
		paths: config.AgentPaths, failures: newFailureLog(config.Log),
	}, config.Log), nil
}

// noHeader matches no header.
func noHeader(string) (string, bool) { return "", false }

// nameRoute names the route of a request for the metrics.
func nameRoute(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		if pattern, ok := runtime.HTTPPattern(r.Context()); ok {
			telemetry.SetRoute(r.Context(), r.Method+" "+pattern.String())
		}
		next(w, r, params)
	}
}

func register(ctx context.Context, mux *runtime.ServeMux, auth connection, config Config) error {
	logs := connection{ClientConnInterface: config.Logs, maxMessageBytes: grpcserver.LogsMessageBytes, log: config.Log}
	keys, requestLogs := authv1.NewKeyServiceClient(auth), logsv1.NewLogServiceClient(logs)
	session := sessionClient{authv1.NewSessionServiceClient(auth), requestLogs}
	return errors.Join(
		authgateway.RegisterCheckServiceHandlerClient(ctx, mux, authv1.NewCheckServiceClient(auth)),
		authgateway.RegisterKeyServiceHandlerClient(ctx, mux, keys),
		authgateway.RegisterSessionServiceHandlerClient(ctx, mux, session),
		logsgateway.RegisterLogServiceHandlerClient(ctx, mux, logsClient{requestLogs, keys}),
		handleStream(mux, exportRoute(requestLogs)),
		handleStream(mux, tailRoute(requestLogs)),
	)
}
